//! The head of npy files, and of the arrays in npz files: a line of Python that says what the elements are and how
//! they lie.
//!
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`

use std::io::Read;

use super::arrays::{Head, Trouble, read_most};
use super::dataset::shorten;
use super::error::Fault;
use super::facts::Element;
use crate::DType;

/// What every npy file begins with; `PY` and the version follow.
pub const MAGIC: [u8; 4] = *b"\x93NUM";

/// The longest head that is read: shapes have few numbers.
const LONGEST: usize = 1 << 16;

/// Reads a file's head, of which four bytes were read.
pub fn head(reader: &mut dyn Read) -> Result<Head, Trouble> {
    let bad = |reason: String| Trouble::from(Fault::NpyHead { reason });
    let cut = || bad("the file ends within it; it was cut short".to_string());
    let start = read_most(reader, 4)?;
    let [b'P', b'Y', major, _] = *start.as_slice() else {
        return Err(if start.len() < 4 { cut() } else { bad("its first bytes are not `\\x93NUMPY`".into()) });
    };
    let length = match major {
        1 => {
            let bytes = read_most(reader, 2)?;
            u16::from_le_bytes(bytes.try_into().map_err(|_| cut())?) as usize
        }
        2 | 3 => {
            let bytes = read_most(reader, 4)?;
            u32::from_le_bytes(bytes.try_into().map_err(|_| cut())?) as usize
        }
        _ => return Err(bad(format!("version {major} of the format is not known"))),
    };
    if length > LONGEST {
        return Err(bad(format!("it claims to be {length} bytes long")));
    }
    let text = read_most(reader, length)?;
    if text.len() < length {
        return Err(cut());
    }
    let text = String::from_utf8(text).map_err(|_| bad("it is no text".to_string()))?;
    let (descr, fortran, sizes) = Parser { rest: text.trim() }.head().map_err(bad)?;
    let (element, big) = element(&descr)?;
    Head::new(element, big, fortran, sizes)
}

/// What the elements are, and whether their first byte is the largest.
fn element(descr: &str) -> Result<(Element, bool), Fault> {
    let refuse = |what: &'static str| Fault::NpyElement { descr: shorten(descr), what };
    let big = match descr.as_bytes().first() {
        Some(b'<' | b'|') => false,
        Some(b'>') => true,
        Some(b'=') => cfg!(target_endian = "big"),
        _ => return Err(refuse("something that this program does not know")),
    };
    let element = match descr.get(1..).unwrap_or_default() {
        "b1" => Element::Bool,
        "u1" => Element::U8,
        "u2" => Element::U16,
        "u4" => Element::U32,
        "u8" => Element::U64,
        "i1" => Element::I8,
        "i2" => Element::I16,
        "i4" => Element::I32,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        other => {
            return Err(refuse(match other.as_bytes().first() {
                Some(b'O') => "Python objects",
                Some(b'c') => "complex numbers",
                Some(b'U' | b'S' | b'a') => "texts",
                Some(b'M' | b'm') => "times",
                Some(b'V') => "bytes without a meaning",
                _ => "something that this program does not know",
            }));
        }
    };
    Ok((element, big))
}

/// Reads the one dictionary that numpy writes.
struct Parser<'a> {
    rest: &'a str,
}

type Parts = (String, bool, Vec<usize>);

impl<'a> Parser<'a> {
    fn head(mut self) -> Result<Parts, String> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.take('}') {
            let key = self.text()?;
            self.expect(':')?;
            match key {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran = Some(self.truth()?),
                "shape" => shape = Some(self.shape()?),
                _ => return Err(format!("it has an entry `{}`, which is not known", shorten(key))),
            }
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        if !self.rest.is_empty() {
            return Err(format!("`{}` follows its end", shorten(self.rest)));
        }
        let missing = |what: &str| format!("it has no `{what}`");
        Ok((
            descr.ok_or_else(|| missing("descr"))?,
            fortran.ok_or_else(|| missing("fortran_order"))?,
            shape.ok_or_else(|| missing("shape"))?,
        ))
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) {
            return Ok(());
        }
        let found = self.rest.chars().next().map_or("its end".to_string(), |found| format!("`{found}`"));
        Err(format!("expected `{wanted}`, found {found}"))
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let quote = if self.rest.starts_with('"') { '"' } else { '\'' };
        self.expect(quote)?;
        let (text, rest) = self.rest.split_once(quote).ok_or("a quote is never closed")?;
        self.rest = rest.trim_start();
        Ok(text)
    }

    /// A text; a list is what numpy writes of records.
    fn descr(&mut self) -> Result<String, String> {
        if self.rest.starts_with('[') {
            return Err("its elements are records of several fields; save each field by itself".to_string());
        }
        self.text().map(str::to_string)
    }

    fn truth(&mut self) -> Result<bool, String> {
        for (word, truth) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest.trim_start();
                return Ok(truth);
            }
        }
        Err("`fortran_order` is neither `True` nor `False`".to_string())
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        let mut sizes = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (number, rest) = self.rest.split_at(digits);
            let size = number.parse().map_err(|_| "`shape` is no tuple of sizes".to_string())?;
            sizes.push(size);
            self.rest = rest.trim_start_matches('L').trim_start();
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }
}

/// The head of an npy file whose elements, of this type and shape, follow in native byte order; `None` for elements
/// that the format has no name for.
pub fn written_head(dtype: DType, shape: &[usize]) -> Option<Vec<u8>> {
    let order = if cfg!(target_endian = "big") { '>' } else { '<' };
    let descr = match dtype {
        DType::F64 => format!("{order}f8"),
        DType::F32 => format!("{order}f4"),
        DType::F16 => format!("{order}f2"),
        DType::I64 => format!("{order}i8"),
        DType::I32 => format!("{order}i4"),
        DType::U8 => "|u1".to_string(),
        DType::Bool => "|b1".to_string(),
        DType::Bf16 => return None,
    };
    let sizes: Vec<String> = shape.iter().map(|size| format!("{size},")).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sizes.join(" "));
    // Ten bytes before the text and a newline behind it, in all a multiple of 64.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    head.extend(u16::try_from(length).ok()?.to_le_bytes());
    head.extend(format!("{text:<0$}\n", length - 1).bytes());
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Parts, String> {
        Parser { rest: text.trim() }.head()
    }

    #[test]
    fn heads_as_numpy_has_written_them_over_the_years() {
        let expected = Ok(("<f4".to_string(), false, vec![3, 4]));
        assert_eq!(read("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n"), expected);
        assert_eq!(read("{'shape': (3L, 4L), \"descr\": \"<f4\", 'fortran_order': False}"), expected);
        assert_eq!(read("{'descr':'<f4','fortran_order':True,'shape':()}").unwrap().2, Vec::<usize>::new());
        assert_eq!(read("{'descr':'<f4','fortran_order':True,'shape':(7,)}").unwrap().2, [7]);
    }

    #[test]
    fn what_is_no_head_is_told_apart() {
        let records = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }";
        for (text, reason) in [
            (records, "records"),
            ("{'descr': '<f4', 'shape': (3,), }", "no `fortran_order`"),
            ("{'descr': '<f4', 'fortran_order': 1, 'shape': (3,), }", "neither"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }", "no tuple"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "no tuple"),
            ("{'descr': '<f4", "never closed"),
            ("", "found its end"),
            ("{} {}", "follows its end"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![5], vec![2, 3, 40_000_000]] {
            let head = written_head(DType::F32, &shape).unwrap();
            assert_eq!((head.len() % 64, head.last()), (0, Some(&b'\n')));
            let found = super::head(&mut &head[4..]).unwrap_or_else(|_| panic!("it is a head"));
            assert_eq!((found.element, found.sizes, found.fortran), (Element::F32, shape, false));
        }
    }

    #[test]
    fn heads_are_written_as_numpy_writes_them() {
        let text = |dtype, shape| String::from_utf8_lossy(&written_head(dtype, shape).unwrap()).into_owned();
        assert!(text(DType::U8, &[5]).contains("'shape': (5,), }"));
        for shape in [&[][..], &[5], &[2, 300, 4]] {
            assert!(text(DType::F64, shape).contains("'<f8'"), "{}", text(DType::F64, shape));
        }
        assert_eq!(written_head(DType::Bf16, &[1]), None);
    }
}
