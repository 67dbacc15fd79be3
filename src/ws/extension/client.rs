//! The client's side of the agreement on permessage-deflate (RFC 7692 §5, §7.1): what it offers, and whether the answer is
//! a legal one. Compresses nothing.

use super::{
    DeflateConfig, DeflateOffer, DeflateParams, EXTENSION, MOST_WINDOW_BITS, Malformed, Value, next_element,
    read_element, window_bits,
};
use crate::http::field::Cursor;

/// Why the extensions of an answer cannot be agreed to (RFC 6455 §4.1, item 5, §9.1; RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerError {
    /// The value breaks the grammar.
    Malformed,
    /// An extension that was not offered.
    NotOffered,
    /// An extension that is there already.
    Repeated,
    /// Parameters that do not answer the offer.
    Illegal,
}

impl From<Malformed> for AnswerError {
    fn from(_: Malformed) -> Self {
        AnswerError::Malformed
    }
}

impl DeflateOffer {
    /// What a client asks for that wants `config`. It always allows the server to lower the client's window.
    pub(crate) fn of(config: &DeflateConfig) -> Self {
        let server_bits = config.server_max_window_bits;
        Self {
            server_no_context_takeover: config.server_no_context_takeover,
            client_no_context_takeover: config.client_no_context_takeover,
            server_max_window_bits: (server_bits < MOST_WINDOW_BITS).then_some(server_bits),
            client_max_window_bits: Some(config.client_max_window_bits),
        }
    }

    /// What both sides do after this offer and that answer; nothing when the answer is not a legal one.
    fn agree(self, answer: Self) -> Option<DeflateParams> {
        // RFC 7692 §7.1.1.1: whoever accepts such an offer says so.
        let forgets = answer.server_no_context_takeover || !self.server_no_context_takeover;
        // RFC 7692 §7.1.2.1: an offered limit is answered with the same or a lower one; without an offer it is a hint.
        let server_bits = match (self.server_max_window_bits, answer.server_max_window_bits) {
            (Some(offered), answered) => answered.filter(|bits| *bits <= offered)?,
            (None, answered) => answered.unwrap_or(MOST_WINDOW_BITS),
        };
        // RFC 7692 §7.1.2.2: a limit for us must have been offered, and is the same or a lower one.
        let client_bits = match (self.client_max_window_bits, answer.client_max_window_bits) {
            (Some(offered), Some(answered)) => (answered <= offered).then_some(answered)?,
            (Some(offered), None) => offered,
            (None, None) => MOST_WINDOW_BITS,
            (None, Some(_)) => return None,
        };
        forgets.then_some(DeflateParams {
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
            server_no_context_takeover: answer.server_no_context_takeover,
            // RFC 7692 §7.1.1.2: we may forget our window whether or not the server insists.
            client_no_context_takeover: answer.client_no_context_takeover || self.client_no_context_takeover,
            names_server_window: answer.server_max_window_bits.is_some(),
        })
    }

    /// Takes a parameter of an answer; it differs from an offer's in the values of the windows.
    fn set_answered(&mut self, name: &str, value: Option<Value<'_>>) -> Option<()> {
        match (name, value) {
            // RFC 7692 §7.1.2.1: 8 is a window that we inflate, though we could not make it.
            ("server_max_window_bits", Some(value)) => {
                self.server_max_window_bits.replace(window_bits(value)?).is_none().then_some(())
            }
            // RFC 7692 §7.1.2.2: only an offer may name it without a value.
            ("client_max_window_bits", None) => None,
            _ => self.set(name, value),
        }
    }
}

/// Checks the values of Sec-WebSocket-Extensions in an answer against what was offered.
pub(crate) fn check_answer<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    offered: Option<DeflateOffer>,
) -> Result<Option<DeflateParams>, AnswerError> {
    let mut agreed = None;
    for value in values {
        let mut cursor = Cursor::new(value);
        // RFC 6455 §9.1: a list of at least one.
        if !next_element(&mut cursor) {
            return Err(AnswerError::Malformed);
        }
        while next_element(&mut cursor) {
            let params = check_element(&mut cursor, offered)?;
            if agreed.replace(params).is_some() {
                return Err(AnswerError::Repeated);
            }
        }
    }
    Ok(agreed)
}

fn check_element(
    cursor: &mut Cursor<'_>,
    offered: Option<DeflateOffer>,
) -> Result<DeflateParams, AnswerError> {
    let mut answer = Some(DeflateOffer::default());
    let extension = read_element(cursor, |name, value| {
        answer = answer.and_then(|mut answer| answer.set_answered(name, value).map(|()| answer));
    })?;
    // RFC 6455 §4.1, item 5: nothing that we did not ask for.
    let offer = offered.filter(|_| extension == EXTENSION).ok_or(AnswerError::NotOffered)?;
    // RFC 7692 §5.1, §7.1: a client fails the connection over an answer that does not fit its offer.
    answer.and_then(|answer| offer.agree(answer)).ok_or(AnswerError::Illegal)
}
