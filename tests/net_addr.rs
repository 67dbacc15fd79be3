//! Addresses as text: whatever is read is shown so that it is read alike, and nothing breaks the reader.
#![cfg(feature = "net")]

use std::ffi::OsString;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use gnezdo::net::{Addr, UnixAddr};
use proptest::prelude::*;

proptest! {
    #[test]
    fn tcp_addresses_survive_the_round_trip(addr: SocketAddr) {
        // The flow label is no part of the text.
        let addr = match addr {
            SocketAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
            SocketAddr::V4(_) => addr,
        };
        let shown = Addr::Tcp(addr).to_string();
        prop_assert_eq!(shown.parse::<Addr>(), Ok(Addr::Tcp(addr)));
    }

    #[test]
    fn unix_addresses_survive_the_round_trip(name in "@?[^\\x00-\\x1f\\x7f-\\u{9f}]{1,40}") {
        if let Ok(addr) = format!("unix:{name}").parse::<Addr>() {
            prop_assert_eq!(addr.to_string().parse::<Addr>(), Ok(addr));
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC*|(unix:|@|\\[|:|[0-9a-f.]|/){0,30}|.*") {
        match text.parse::<Addr>() {
            Ok(addr) => prop_assert_eq!(addr.to_string().parse::<Addr>(), Ok(addr)),
            Err(error) => prop_assert!(error.to_string().len() > 20),
        }
    }

    #[test]
    fn no_name_breaks_a_line_of_a_log(bytes in proptest::collection::vec(any::<u8>(), 0..130)) {
        let names = [UnixAddr::path(PathBuf::from(OsString::from_vec(bytes.clone()))), UnixAddr::abstract_name(&bytes)];
        for name in names {
            let shown = name.map_or_else(|error| error.to_string(), |name| name.to_string());
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
