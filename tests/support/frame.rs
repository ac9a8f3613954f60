//! WebSocket frames (RFC 6455 section 5.2), valid and invalid.

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    /// The three reserved bits, as the low bits of this number.
    pub reserved: u8,
    pub opcode: u8,
    pub masked: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    /// A complete masked frame, as a client must send it.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, reserved: 0, opcode, masked: true, payload: payload.as_ref().to_vec() }
    }

    pub fn text(text: &str) -> Self {
        Self::new(TEXT, text)
    }

    /// A Close frame with a code and a reason.
    pub fn close(code: u16, reason: &[u8]) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason].concat())
    }

    /// Clears FIN: more frames follow.
    pub fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    pub fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    pub fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = head(self.fin, self.reserved, self.opcode, self.masked, self.payload.len() as u64);
        if self.masked {
            let key = [0x37, 0xfa, 0x21, 0x3d];
            bytes.extend(key);
            bytes.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }

    /// Takes one complete frame from the front of the bytes.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, start) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
            short => (usize::from(short), 2),
        };
        assert!(second & 0x80 == 0, "a server must not mask its frames");
        let payload = bytes.get(start..start + length)?.to_vec();
        bytes.drain(..start + length);
        Some(Self {
            fin: first & 0x80 != 0,
            reserved: (first >> 4) & 7,
            opcode: first & 0xf,
            masked: false,
            payload,
        })
    }

    /// Code and reason of a Close frame; 1005 when it has no code.
    pub fn close_code(&self) -> (u16, String) {
        assert_eq!(self.opcode, CLOSE, "{self:?} is a Close frame");
        match self.payload.split_first_chunk::<2>() {
            Some((code, reason)) => (
                u16::from_be_bytes(*code),
                String::from_utf8(reason.to_vec()).expect("a close reason in UTF-8"),
            ),
            None => (1005, String::new()),
        }
    }
}

/// The header of a frame up to the mask, with any length, true or false.
pub fn head(fin: bool, reserved: u8, opcode: u8, masked: bool, length: u64) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut bytes = vec![(u8::from(fin) << 7) | (reserved << 4) | opcode];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => bytes.push(mask | short),
        (_, Ok(middle)) => {
            bytes.push(mask | 0x7e);
            bytes.extend(middle.to_be_bytes());
        }
        _ => {
            bytes.push(mask | 0x7f);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}
