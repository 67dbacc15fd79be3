//! A handler that calls whenever it can, and a shutdown that has to end all the same (R49).

use std::net::TcpListener;
use std::time::Duration;

use gnezdo::{Closed, Config, ConnId, Connect, ConnectError, Context, Handler, Reactor};

use super::ledger::Ledger;

/// Calls again whenever it is cut off.
struct Stubborn(Connect);

impl Handler for Stubborn {
    type Conn = ();
    type Post = ();

    fn on_close(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, _closed: &Closed) {
        let error = cx.connect(&self.0).unwrap_err();
        assert!(matches!(error, ConnectError::ShuttingDown { .. }), "{error}");
    }
}

#[test]
fn nobody_is_called_any_more_in_a_shutdown() {
    let _alone = Ledger::open();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let call = Connect::to(&format!("tcp://{}", server.local_addr().unwrap())).unwrap();
    let mut reactor = Reactor::new(Stubborn(call.clone()), Config::default()).unwrap();
    reactor.with(|_, cx| cx.connect(&call)).unwrap();
    let (accepted, _) = server.accept().unwrap();
    reactor.with(|_, cx| cx.shutdown(Duration::from_millis(50)));
    reactor.run().unwrap();
    assert_eq!(reactor.shutdown_report().map(|report| report.closed + report.cut), Some(1));
    drop(accepted);
}
