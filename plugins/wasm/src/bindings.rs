//! Rust's side of the ABI (plugins/guest/wit), one module per world; the three share the types and the host's services.

/// What every world imports.
pub(crate) mod host {
    wasmtime::component::bindgen!({
        path: "../guest/wit",
        world: "longshore:connector/host",
        imports: { default: async | trappable },
        with: {
            "longshore:connector/http.body": crate::bindings::Body,
        },
        require_store_data_send: true,
    });
}

macro_rules! world {
    ($module:ident, $world:tt) => {
        pub(crate) mod $module {
            wasmtime::component::bindgen!({
                path: "../guest/wit",
                world: $world,
                imports: { default: async | trappable },
                exports: { default: async },
                with: {
                    "longshore:connector/types": crate::bindings::host::longshore::connector::types,
                    "longshore:connector/log": crate::bindings::host::longshore::connector::log,
                    "longshore:connector/metrics": crate::bindings::host::longshore::connector::metrics,
                    "longshore:connector/context": crate::bindings::host::longshore::connector::context,
                    "longshore:connector/secrets": crate::bindings::host::longshore::connector::secrets,
                    "longshore:connector/state": crate::bindings::host::longshore::connector::state,
                    "longshore:connector/http": crate::bindings::host::longshore::connector::http,
                },
                require_store_data_send: true,
            });
        }
    };
}

world!(source, "longshore:connector/source");
world!(sink, "longshore:connector/sink");
world!(transform, "longshore:connector/transform");

#[allow(unreachable_pub)] // the generated code exports it again
pub use crate::services::Body;
