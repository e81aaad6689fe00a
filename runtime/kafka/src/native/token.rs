//! OAUTHBEARER tokens for a client, with SASL extensions, which the safe API does not know.

use rdkafka::{
    bindings as sys,
    types::{RDKafka, RDKafkaRespErr},
};
use std::ffi::{CStr, CString, c_char};

/// Gives `client`, which must be alive, a token that is valid until `expires` (milliseconds since 1970). Err: the library's reason, which
/// quotes no token.
pub(crate) fn set_token(
    client: *mut RDKafka,
    token: &str,
    principal: &str,
    expires: i64,
    extensions: &[(String, String)],
) -> Result<(), String> {
    let text = |text: &str| CString::new(text).map_err(|_| "a NUL character".to_owned());
    let (token, principal) = (text(token)?, text(principal)?);
    let mut owned = Vec::with_capacity(extensions.len() * 2);
    for (name, value) in extensions {
        owned.push(text(name)?);
        owned.push(text(value)?);
    }
    let mut pointers: Vec<*const c_char> = owned.iter().map(|text| text.as_ptr()).collect();
    let mut reason = [0 as c_char; 512];
    // SAFETY: the client is alive, and every string and the list live until the call has returned; the library copies what it keeps. The
    // list is null where it is empty, with the length 0. The reason's buffer is as long as said.
    let code = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client,
            token.as_ptr(),
            expires,
            principal.as_ptr(),
            if pointers.is_empty() {
                std::ptr::null_mut()
            } else {
                pointers.as_mut_ptr()
            },
            pointers.len(),
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    // SAFETY: the buffer was zeroed, and the library ends what it writes with a NUL within the given length.
    let reason = unsafe { CStr::from_ptr(reason.as_ptr()) };
    Err(reason.to_string_lossy().into_owned())
}
