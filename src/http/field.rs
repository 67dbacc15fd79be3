//! The grammar that header values share (RFC 9110 §5.6): tokens, lists, quoted strings. Knows no header by name.

/// Whether this byte may be part of a token (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The bytes as a token (RFC 9110 §5.6.2), if they are one.
pub(crate) fn as_token(bytes: &[u8]) -> Option<&str> {
    let valid = !bytes.is_empty() && bytes.iter().copied().all(is_token_byte);
    if valid { str::from_utf8(bytes).ok() } else { None }
}

/// Whether this byte may stand in a header's value (RFC 9110 §5.5): visible, space, tab or above ASCII.
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The bytes without optional white space around them (RFC 9110 §5.6.3).
pub(crate) fn trim_white_space(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list of tokens, without the empty ones (RFC 9110 §5.6.1.2). Knows no quotes.
pub(crate) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_white_space).filter(|item| !item.is_empty())
}

/// Reads one header value from left to right, never back.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor before the first byte of `value`.
    pub(crate) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    /// Whether everything has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Steps over optional white space (RFC 9110 §5.6.3).
    pub(crate) fn skip_white_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Steps over `byte` and the white space after it, if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let Some((&first, rest)) = self.rest.split_first() else { return false };
        if first == byte {
            self.rest = rest;
            self.skip_white_space();
        }
        first == byte
    }

    /// Takes a token (RFC 9110 §5.6.2) and the white space after it.
    pub(crate) fn take_token(&mut self) -> Option<&'a str> {
        let length = self.rest.iter().take_while(|byte| is_token_byte(**byte)).count();
        let (token, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        self.skip_white_space();
        as_token(token)
    }

    /// Takes a token or a quoted string (RFC 9110 §5.6.6) and the white space after it.
    pub(crate) fn take_value(&mut self) -> Option<Value<'a>> {
        if self.rest.first() == Some(&b'"') {
            self.take_quoted()
        } else {
            self.take_token().map(Value::Token)
        }
    }

    /// RFC 9110 §5.6.4: everything up to the next quote that no backslash escapes.
    fn take_quoted(&mut self) -> Option<Value<'a>> {
        let (_, inside) = self.rest.split_first()?;
        let mut escaped = false;
        let length = inside.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        })?;
        let (text, rest) = inside.split_at_checked(length)?;
        self.rest = rest;
        let _closing_quote = self.eat(b'"');
        Some(Value::Quoted(text))
    }
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Written plainly.
    Token(&'a str),
    /// Written in quotes; its escapes still in it.
    Quoted(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes that are meant, without quotes and escapes.
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let (text, quoted) = match self {
            Self::Token(token) => (token.as_bytes(), false),
            Self::Quoted(text) => (text, true),
        };
        let mut escaped = false;
        text.iter().copied().filter(move |byte| {
            escaped = quoted && *byte == b'\\' && !escaped;
            !escaped
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_empty_and_has_no_delimiters() {
        for (bytes, valid) in [
            (&b"websocket"[..], true),
            (b"!#$%&'*+-.^_`|~09azAZ", true),
            (b"", false),
            (b"a b", false),
            (b"a/b", false),
            (b"a\x7f", false),
            (b"\xc3\xa9", false),
        ] {
            assert_eq!(as_token(bytes).is_some(), valid, "{bytes:?}");
        }
    }

    #[test]
    fn a_list_is_split_at_commas_and_empty_elements_are_dropped() {
        let items: Vec<&[u8]> = list_items(b" keep-alive,\tUpgrade ,, ,x").collect();
        assert_eq!(items, [&b"keep-alive"[..], b"Upgrade", b"x"]);
        assert_eq!(list_items(b" , ").count(), 0);
    }

    #[test]
    fn a_quoted_string_is_read_without_its_escapes() {
        let mut cursor = Cursor::new(br#""1\5" ; "\\\"" "open"#);
        assert_eq!(cursor.take_value().map(|value| value.bytes().collect()), Some(b"15".to_vec()));
        assert!(cursor.eat(b';'));
        assert_eq!(cursor.take_value().map(|value| value.bytes().collect()), Some(br#"\""#.to_vec()));
        assert_eq!(cursor.take_value(), None);
    }

    #[test]
    fn a_cursor_takes_tokens_and_nothing_else() {
        let mut cursor = Cursor::new(b"a=b");
        assert_eq!(cursor.take_token(), Some("a"));
        assert_eq!(cursor.take_token(), None);
        assert!(!cursor.eat(b';') && cursor.eat(b'='));
        assert_eq!(cursor.take_value(), Some(Value::Token("b")));
        assert!(cursor.is_at_end() && !cursor.eat(b'='));
    }
}
