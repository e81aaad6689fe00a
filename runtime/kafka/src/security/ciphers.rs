//! `ssl.cipher.suites`: Java writes the names of the TLS registry, the client library wants OpenSSL's.

use super::Special;
use crate::client::Properties;

const KEY: &str = "ssl.cipher.suites";

/// TLS 1.3 has three suites that both sides know; they cannot be listed and are always on.
fn openssl(name: &str) -> Option<String> {
    let Some(rest) = name.strip_prefix("TLS_") else {
        return Some(name.to_owned());
    };
    let (exchange, cipher) = rest.split_once("_WITH_")?;
    let exchange = match exchange {
        "RSA" => String::new(),
        other => format!("{}-", other.replace('_', "-")),
    };
    let cipher = cipher
        .replace("AES_128_CBC", "AES128")
        .replace("AES_256_CBC", "AES256")
        .replace("AES_128", "AES128")
        .replace("AES_256", "AES256")
        .replace("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305")
        .replace('_', "-");
    Some(format!("{exchange}{cipher}"))
}

pub(super) fn translate(special: &Special, native: &mut Properties) {
    let Some(list) = special.get(KEY) else {
        return;
    };
    let names = list
        .split([',', ':'])
        .map(str::trim)
        .filter(|n| !n.is_empty());
    let names: Vec<String> = names.filter_map(openssl).collect();
    if !names.is_empty() {
        native.insert(KEY.to_owned(), names.join(":"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_names_become_openssls() {
        let named = |name| openssl(name).unwrap_or_default();
        for (java, ours) in [
            (
                "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                "ECDHE-RSA-AES256-GCM-SHA384",
            ),
            (
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "ECDHE-ECDSA-CHACHA20-POLY1305",
            ),
            ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"),
            (
                "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
                "DHE-RSA-AES128-SHA256",
            ),
            ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
            ("TLS_AES_256_GCM_SHA384", ""),
        ] {
            assert_eq!(named(java), ours);
        }
    }
}
