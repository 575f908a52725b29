//! Encrypted files (ISO 32000-1, 7.6; ISO 32000-2 for AES-256): those that open without a password, since
//! they only ask that nobody prints or copies. Others are refused.

use aes::{
    Aes128, Aes256,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha384, Sha512};

use crate::{
    DocumentError,
    pdf::objects::{Dict, File, Object},
};

const PADDING: [u8; 32] = [
    0x28, 0xbf, 0x4e, 0x5e, 0x4e, 0x75, 0x8a, 0x41, 0x64, 0x00, 0x4e, 0x56, 0xff, 0xfa, 0x01, 0x08, 0x2e,
    0x2e, 0x00, 0xb6, 0xd0, 0x68, 0x3e, 0x80, 0x2f, 0x0c, 0xa9, 0xfe, 0x64, 0x53, 0x69, 0x7a,
];

#[derive(Clone, Copy, PartialEq)]
enum Method {
    None,
    Rc4,
    Aes128,
    Aes256,
}

/// What decrypts a file.
pub(crate) struct Cipher {
    key: Vec<u8>,
    streams: Method,
    strings: Method,
}

impl Cipher {
    pub(crate) fn open(file: &File<'_>, dict: &Dict, id: &[u8]) -> Result<Cipher, DocumentError> {
        let refuse = |what: &str| Err(DocumentError::Encrypted { what: what.to_owned() });
        if file.get(dict, b"Filter").name() != Some(b"Standard") {
            return refuse("not by PDF's own means");
        }
        let number = |key: &[u8]| file.get(dict, key).int();
        let (version, revision) = (number(b"V").unwrap_or(0), number(b"R").unwrap_or(0));
        let (streams, strings) = match version {
            1 | 2 => (Method::Rc4, Method::Rc4),
            4 | 5 => (method(file, dict, b"StmF"), method(file, dict, b"StrF")),
            _ => return refuse("by a version that is not known"),
        };
        let text = |key: &[u8]| file.get(dict, key).text().map(<[u8]>::to_vec).unwrap_or_default();
        let (owner, user) = (text(b"O"), text(b"U"));
        let key = if version == 5 {
            new_key(revision, &user, &text(b"UE"))
        } else {
            let length = match version {
                1 => 5,
                4 => 16,
                _ => usize::try_from(number(b"Length").unwrap_or(40) / 8).unwrap_or(5).clamp(5, 16),
            };
            // A set of bits, which some write as a signed number and some as an unsigned one.
            let permissions = number(b"P").unwrap_or(0).to_le_bytes();
            let metadata = !matches!(dict.get(b"EncryptMetadata".as_slice()), Some(Object::False));
            let permissions = [permissions[0], permissions[1], permissions[2], permissions[3]];
            old_key(revision, length, &owner, &user, permissions, id, metadata)
        };
        match key {
            Some(key) => Ok(Cipher { key, streams, strings }),
            None => refuse("there is a password to open it"),
        }
    }

    pub(crate) fn strings(&self, object: &mut Object, id: (u32, u16)) {
        match object {
            Object::Text(text) => {
                if let Some(plain) = self.decrypt(self.strings, text, id) {
                    *text = plain;
                }
            }
            Object::Array(items) => {
                for item in std::rc::Rc::make_mut(items) {
                    self.strings(item, id);
                }
            }
            Object::Dict(dict) => self.strings_of_dict(std::rc::Rc::make_mut(dict), id),
            _ => {}
        }
    }

    pub(crate) fn strings_of_dict(&self, dict: &mut Dict, id: (u32, u16)) {
        for value in dict.values_mut() {
            self.strings(value, id);
        }
    }

    pub(crate) fn stream(&self, raw: &[u8], id: (u32, u16)) -> Option<Vec<u8>> {
        self.decrypt(self.streams, raw, id)
    }

    fn decrypt(&self, method: Method, data: &[u8], (number, generation): (u32, u16)) -> Option<Vec<u8>> {
        if method == Method::None {
            return None;
        }
        if method == Method::Aes256 {
            let cipher = Aes256::new_from_slice(&self.key).ok()?;
            return cbc_decrypt(&cipher, data);
        }
        let mut hash = Md5::new();
        hash.update(&self.key);
        hash.update(&number.to_le_bytes()[..3]);
        hash.update(generation.to_le_bytes());
        if method == Method::Aes128 {
            hash.update(b"sAlT");
        }
        let hash = hash.finalize();
        let key = &hash[..(self.key.len() + 5).min(16)];
        match method {
            Method::Aes128 => cbc_decrypt(&Aes128::new_from_slice(key).ok()?, data),
            _ => Some(rc4(key, data)),
        }
    }
}

fn method(file: &File<'_>, dict: &Dict, key: &[u8]) -> Method {
    let name = file.get(dict, key);
    let filters = file.get(dict, b"CF");
    let filter = filters.dict().zip(name.name()).map_or(Object::Null, |(dict, name)| file.get(dict, name));
    match filter.dict().map(|dict| file.get(dict, b"CFM")).as_ref().and_then(Object::name) {
        Some(b"V2") => Method::Rc4,
        Some(b"AESV2") => Method::Aes128,
        Some(b"AESV3") => Method::Aes256,
        _ => Method::None,
    }
}

/// Algorithms 2, 4, 5 and 6, for the empty password.
fn old_key(
    revision: i64,
    length: usize,
    owner: &[u8],
    user: &[u8],
    permissions: [u8; 4],
    id: &[u8],
    metadata: bool,
) -> Option<Vec<u8>> {
    let mut hash = Md5::new();
    hash.update(PADDING);
    hash.update(owner.get(..32)?);
    hash.update(permissions);
    hash.update(id);
    if revision >= 4 && !metadata {
        hash.update([0xff; 4]);
    }
    let mut key = hash.finalize()[..].to_vec();
    if revision >= 3 {
        for _ in 0..50 {
            key = Md5::digest(&key[..length])[..].to_vec();
        }
    }
    key.truncate(length);
    let opens = if revision < 3 {
        rc4(&key, &PADDING) == user.get(..32)?
    } else {
        let mut hash = Md5::new();
        hash.update(PADDING);
        hash.update(id);
        let mut check = hash.finalize()[..].to_vec();
        for round in 0..20u8 {
            let key: Vec<u8> = key.iter().map(|byte| byte ^ round).collect();
            check = rc4(&key, &check);
        }
        check == user.get(..16)?
    };
    opens.then_some(key)
}

/// Algorithm 2.A of ISO 32000-2, for the empty password.
fn new_key(revision: i64, user: &[u8], encrypted: &[u8]) -> Option<Vec<u8>> {
    let hash =
        |salt: &[u8]| if revision >= 6 { hardened(salt) } else { Some(Sha256::digest(salt)[..].to_vec()) };
    if hash(user.get(32..40)?)? != user.get(..32)? {
        return None;
    }
    let cipher = Aes256::new_from_slice(&hash(user.get(40..48)?)?).ok()?;
    let mut before = [0u8; 16];
    let mut key = Vec::with_capacity(32);
    for block in encrypted.get(..32)?.chunks_exact(16) {
        let mut plain = Array::try_from(block).ok()?;
        cipher.decrypt_block(&mut plain);
        key.extend(plain.iter().zip(before).map(|(byte, other)| byte ^ other));
        before.copy_from_slice(block);
    }
    Some(key)
}

/// Algorithm 2.B of ISO 32000-2, for the empty password.
fn hardened(salt: &[u8]) -> Option<Vec<u8>> {
    let mut key = Sha256::digest(salt)[..].to_vec();
    // The last byte is at most 255, so there are at most 288 rounds.
    for round in 0..300usize {
        let cipher = Aes128::new_from_slice(&key[..16]).ok()?;
        let mut before: [u8; 16] = key[16..32].try_into().ok()?;
        let mut encrypted = key.repeat(64);
        for block in encrypted.chunks_exact_mut(16) {
            let mut mixed = Array::from(before);
            for (byte, other) in mixed.iter_mut().zip(block.iter()) {
                *byte ^= other;
            }
            cipher.encrypt_block(&mut mixed);
            block.copy_from_slice(&mixed);
            before = mixed.into();
        }
        let remainder = encrypted[..16].iter().map(|byte| u32::from(*byte)).sum::<u32>() % 3;
        key = match remainder {
            0 => Sha256::digest(&encrypted)[..].to_vec(),
            1 => Sha384::digest(&encrypted)[..].to_vec(),
            _ => Sha512::digest(&encrypted)[..].to_vec(),
        };
        if round >= 63 && usize::from(*encrypted.last()?) <= round - 31 {
            break;
        }
    }
    key.truncate(32);
    Some(key)
}

fn cbc_decrypt(
    cipher: &impl BlockCipherDecrypt<BlockSize = aes::cipher::consts::U16>,
    data: &[u8],
) -> Option<Vec<u8>> {
    let (start, body) = data.split_at_checked(16)?;
    let mut before: [u8; 16] = start.try_into().ok()?;
    let mut plain = Vec::with_capacity(body.len());
    for block in body.chunks_exact(16) {
        let mut mixed = Array::try_from(block).ok()?;
        cipher.decrypt_block(&mut mixed);
        plain.extend(mixed.iter().zip(before).map(|(byte, other)| byte ^ other));
        before.copy_from_slice(block);
    }
    if let Some(padding) =
        plain.last().map(|byte| usize::from(*byte)).filter(|padding| (1..=16).contains(padding))
    {
        plain.truncate(plain.len() - padding);
    }
    Some(plain)
}

fn rc4(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut state: [u8; 256] = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
    let mut other = 0u8;
    for at in 0..256 {
        other = other.wrapping_add(state[at]).wrapping_add(key[at % key.len()]);
        state.swap(at, usize::from(other));
    }
    let (mut at, mut other) = (0u8, 0u8);
    data.iter()
        .map(|byte| {
            at = at.wrapping_add(1);
            other = other.wrapping_add(state[usize::from(at)]);
            state.swap(usize::from(at), usize::from(other));
            byte ^ state[usize::from(state[usize::from(at)].wrapping_add(state[usize::from(other)]))]
        })
        .collect()
}
