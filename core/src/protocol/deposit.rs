//! Backups deposited at the parent: what stands outside of what is sealed, and how pieces are put into a body.
//!
//! The parent sees names, lengths and a head it cannot open. It needs the names to know what a deposit still lacks, and which
//! pieces no deposit needs any more.

use std::io::{self, ErrorKind, Read};

use serde::{Deserialize, Serialize};

use crate::model::NodeId;

/// SHA-256 of a sealed piece.
pub type Name = [u8; 32];

/// Most bytes of one sealed piece.
pub const MAX_PIECE: usize = 256 << 10;
/// Most names in one question.
pub const MAX_ASKED: usize = 4_096;
/// Most bytes of pieces in one body.
pub const MAX_PIECES: usize = 1 << 20;
/// Most bytes of a head: it holds the name of every piece.
pub const MAX_HEAD: usize = 32 << 20;
/// Most bytes of what the recovery key opens.
const MAX_ROOT: usize = 64 << 10;

/// What a head begins with.
const MAGIC: &[u8] = b"nqsync sealed backup 1\n";
/// Bytes of a head that are neither root nor names.
const OUTSIDE: usize = MAGIC.len() + 32 + 4 + 4;

/// Most bytes of a head with so many pieces.
pub fn most_head(pieces: u64) -> usize {
    let names = usize::try_from(pieces).unwrap_or(usize::MAX);
    let names = names.saturating_mul(size_of::<Name>());
    names.saturating_add(OUTSIDE + MAX_ROOT).min(MAX_HEAD)
}

/// The head of a sealed backup: everything that is not in a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Fingerprint of the recovery key it is sealed for.
    pub key: [u8; 32],
    /// What the recovery key opens.
    pub root: Vec<u8>,
    /// Every piece, once.
    pub names: Vec<Name>,
}

impl Head {
    /// Its bytes: `nqsync sealed backup 1` and a line end, the fingerprint, the length of the root (u32, big endian), the
    /// root, the number of names (the same), the names.
    pub fn render(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&(self.root.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&(self.names.len() as u32).to_be_bytes());
        bytes.extend(self.names.iter().flatten());
        bytes
    }

    /// Reads one; `None` when it is none, or was cut.
    pub fn parse(bytes: &[u8]) -> Option<Head> {
        Head::read(bytes).ok().flatten()
    }

    /// The same from where it lies: whoever needs the names alone does not hold a large one twice.
    pub fn read(mut from: impl Read) -> io::Result<Option<Head>> {
        match Head::read_whole(&mut from) {
            Err(cut) if cut.kind() == ErrorKind::UnexpectedEof => Ok(None),
            read => read,
        }
    }

    fn read_whole(from: &mut impl Read) -> io::Result<Option<Head>> {
        let mut magic = [0; MAGIC.len()];
        let (mut key, mut length, mut count) = ([0; 32], [0; 4], [0; 4]);
        from.read_exact(&mut magic)?;
        from.read_exact(&mut key)?;
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if magic != MAGIC || length > MAX_ROOT {
            return Ok(None);
        }
        let mut root = vec![0; length];
        from.read_exact(&mut root)?;
        from.read_exact(&mut count)?;
        let count = u32::from_be_bytes(count) as usize;
        if count > (MAX_HEAD - OUTSIDE - length) / size_of::<Name>() {
            return Ok(None);
        }
        // It grows with what comes: the number alone is not believed.
        let mut names = Vec::new();
        for _ in 0..count {
            let mut name = Name::default();
            from.read_exact(&mut name)?;
            names.push(name);
        }
        let over = from.read(&mut [0])? == 0;
        Ok(over.then_some(Head { key, root, names }))
    }
}

/// Names one after the other.
pub fn render_names(names: &[Name]) -> Vec<u8> {
    names.iter().flatten().copied().collect()
}

/// Reads names; `None` when the last one is cut.
pub fn parse_names(bytes: &[u8]) -> Option<Vec<Name>> {
    let (names, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| names.to_vec())
}

/// Adds a piece to a body: its length (u32, big endian), then its bytes.
pub fn put_piece(body: &mut Vec<u8>, piece: &[u8]) {
    body.extend_from_slice(&(piece.len() as u32).to_be_bytes());
    body.extend_from_slice(piece);
}

/// The pieces in a body; `None` when one is cut or longer than allowed.
pub fn pieces(mut body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (piece, rest) = rest.split_at_checked(length)?;
        if length > MAX_PIECE {
            return None;
        }
        found.push(piece);
        body = rest;
    }
    Some(found)
}

/// One complete deposit that the child may have back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposited {
    /// The node that deposited it.
    pub node: NodeId,
    /// When it was complete, by the parent's clock, in milliseconds since 1970.
    pub at: i64,
    /// SHA-256 of its head, hex.
    pub id: String,
    /// Bytes of its pieces and its head.
    pub bytes: u64,
}

/// What a parent holds for the nodes of the child's unit, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposits {
    /// The complete ones.
    pub deposits: Vec<Deposited>,
}

/// Asks for a deposit: its head, or with names some of its pieces, as many as fit into an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// The node that deposited it.
    pub node: NodeId,
    /// Pieces, as hexadecimal digits; none: the head.
    #[serde(default)]
    pub names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_as_it_was_written_and_a_cut_one_does_not() {
        let head = Head {
            key: [7; 32],
            root: b"root".to_vec(),
            names: vec![[1; 32], [2; 32]],
        };
        let bytes = head.render();
        assert_eq!(Head::parse(&bytes), Some(head));
        for length in 0..bytes.len() {
            assert_eq!(Head::parse(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(Head::parse(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Head::parse(b"nqsync sealed backup 2\n"), None);
        assert!(bytes.len() <= most_head(2) && most_head(u64::MAX) == MAX_HEAD);
    }

    #[test]
    fn pieces_come_out_of_a_body_as_they_went_in_and_no_length_is_believed() {
        let mut body = Vec::new();
        put_piece(&mut body, b"one");
        put_piece(&mut body, b"");
        put_piece(&mut body, b"three");
        let found = pieces(&body).expect("pieces");
        assert_eq!(found, [&b"one"[..], b"", b"three"]);
        assert_eq!(pieces(&body[..body.len() - 1]), None);
        assert_eq!(pieces(&[0xff, 0xff, 0xff, 0xff, 1]), None);
        let mut large = Vec::new();
        put_piece(&mut large, &vec![0; MAX_PIECE + 1]);
        assert_eq!(pieces(&large), None);
        assert_eq!(parse_names(&[0; 33]), None);
        assert_eq!(parse_names(&render_names(&[[3; 32]])), Some(vec![[3; 32]]));
    }
}
