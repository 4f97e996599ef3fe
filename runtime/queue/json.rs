//! Reads examples written in JSON: an object a line, or one list of them all. `{"image": [[0, 1], [2, 3]], "kind": 4}`

use std::io::Read;
use std::path::Path;

use serde_json::{Deserializer, Number, Value};

use super::convert::{Conversion, exact};
use super::dataset::{Column, Dataset, Store, shorten};
use super::error::{DataError, Fault, Place};
use super::open::open;
use super::recipe::{JsonField, Origin};

/// Reads the fields of all objects.
///
/// # Errors
/// Whatever is wrong with the file, at the first place where it is.
pub fn load(path: &Path, fields: &[JsonField], origin: Origin) -> Result<Dataset, DataError> {
    let mut opened = open(path, origin)?;
    let mut text = Vec::new();
    opened.reader.read_to_end(&mut text).map_err(|error| opened.error(&error))?;
    let mut stores: Vec<Vec<u8>> = vec![Vec::new(); fields.len()];
    let mut examples = 0;
    for value in Deserializer::from_slice(&text).into_iter::<Value>() {
        let value = value.map_err(|error| {
            let fault = Fault::NotJson { reason: error.to_string() };
            let place = Place { file: Some(opened.path.clone()), ..Place::default() };
            DataError { origin, place: Box::new(place), fault }
        })?;
        let all = match value {
            Value::Array(all) => all,
            one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                vec![one]
            }
        };
        for value in all {
            for (field, store) in fields.iter().zip(&mut stores) {
                append(field, &value, store).map_err(|fault| {
                    let file = Some(opened.path.clone());
                    let place = Place { file, example: Some(examples), ..Place::default() };
                    DataError { origin: field.origin, place: Box::new(place), fault }
                })?;
            }
            examples += 1;
        }
    }
    if examples == 0 {
        return Err(DataError::in_file(origin, &opened.path, Fault::Empty));
    }
    let columns = fields.iter().zip(stores).map(|(field, bytes)| Column {
        name: field.name.as_str().into(),
        shape: field.shape.clone(),
        dtype: field.dtype,
        store: Store::Ready(bytes),
    });
    Ok(Dataset::new(examples, columns.collect()))
}

fn append(field: &JsonField, example: &Value, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    let json = |reason: String| Fault::NotJson { reason };
    let Value::Object(object) = example else {
        return Err(json(format!("expected an object, found {}", kind(example))));
    };
    let Some(value) = object.get(&field.name) else {
        let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
        names.truncate(8);
        return Err(json(format!("expected a member `{}`, found {}", field.name, names.join(", "))));
    };
    let conversion = Conversion { arithmetic: &field.arithmetic, dtype: field.dtype, classes: field.classes };
    // One list of all numbers will do as well.
    let total: usize = field.shape.iter().product();
    let flat = matches!(value, Value::Array(all) if all.len() == total && !all.iter().any(Value::is_array));
    let shape = if flat { std::slice::from_ref(&total) } else { field.shape.as_slice() };
    numbers(&field.name, value, shape, &mut |number| conversion.append(number, bytes))
}

/// Every number of a list of lists, which must have this shape. As deep as the shape.
fn numbers(
    name: &str,
    value: &Value,
    shape: &[usize],
    each: &mut impl FnMut(f64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match (value, shape) {
        (Value::Array(all), [size, inner @ ..]) if all.len() == *size => {
            all.iter().try_for_each(|value| numbers(name, value, inner, each))
        }
        (Value::Number(found), []) => each(number(found)?),
        (Value::Bool(truth), []) => each(f64::from(u8::from(*truth))),
        (found, []) => {
            Err(Fault::NotJson { reason: format!("expected a number in `{name}`, found {}", kind(found)) })
        }
        (found, [size, ..]) => {
            let reason = format!("expected a list of {size} in `{name}`, found {}", kind(found));
            Err(Fault::NotJson { reason })
        }
    }
}

fn number(found: &Number) -> Result<f64, Fault> {
    match (found.as_i64(), found.as_u64()) {
        (Some(whole), _) => exact(whole),
        (None, Some(whole)) => exact(whole),
        (None, None) => Ok(found.as_f64().unwrap_or(f64::NAN)),
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text \"{}\"", shorten(text)),
        Value::Array(all) => format!("a list of {}", all.len()),
        Value::Object(_) => "an object".to_string(),
    }
}
