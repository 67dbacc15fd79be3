//! Whose cryptography is used: a choice by features.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// That of `aws-lc-rs` where the feature `tls-aws-lc` is on, else that of `ring`.
pub(super) fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "tls-aws-lc")]
    use rustls::crypto::aws_lc_rs as chosen;
    #[cfg(not(feature = "tls-aws-lc"))]
    use rustls::crypto::ring as chosen;
    Arc::new(chosen::default_provider())
}

#[cfg(not(any(feature = "tls", feature = "tls-aws-lc")))]
compile_error!("the feature `_tls` is not to be named: take `tls` or `tls-aws-lc`");
