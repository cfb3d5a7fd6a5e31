//! Encodes a serde enum as type and data, and decodes it again.
//!
//! Serde's derive knows each variant's name, so the enum itself is the registry of types. A second table could disagree
//! with it.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::{Serialize, forward_to_deserialize_any};

type Json<'a> = serde_json::Deserializer<serde_json::de::SliceRead<'a>>;

const NOT_AN_EVENT: &str = "an event is an enum whose variants hold data";

/// The error of [`decode`].
#[derive(Debug)]
pub(crate) enum Error {
    /// The type is none of these.
    UnknownType(&'static [&'static str]),
    Data(serde_json::Error),
}

/// Returns the variant's name and its content as JSON. Serde writes a variant as `{"name":content}`; event types
/// need no escaping, so the name ends at the first `":`.
pub(crate) fn encode(event: &(impl Serialize + ?Sized)) -> Result<(String, Vec<u8>), serde_json::Error> {
    let tagged = serde_json::to_string(event)?;
    let inner = tagged.strip_prefix("{\"").and_then(|rest| rest.strip_suffix('}'));
    inner
        .and_then(|inner| inner.split_once("\":"))
        .map(|(name, data)| (name.to_owned(), data.as_bytes().to_vec()))
        .ok_or_else(|| serde::ser::Error::custom(NOT_AN_EVENT))
}

/// Decodes the variant called `ce_type`, with its content from `data`.
pub(crate) fn decode<E: DeserializeOwned>(ce_type: &str, data: &[u8]) -> Result<E, Error> {
    E::deserialize(Tagged { ce_type, data })
}

/// The longest beginning of an event's JSON that [`name`] looks at. A type is at most four bytes shorter.
const HEAD: usize = 128;

/// Returns the name of the event's variant; empty for a value that is not an event.
pub(crate) fn name<E: Serialize + DeserializeOwned>(event: &E) -> &'static str {
    // Serde knows the name, but shows it only in the output. The full buffer ends the serialization, so a large event costs no
    // more than a small one.
    let mut head = [0; HEAD];
    let _ = serde_json::to_writer(&mut head[..], event);
    // No variant has an empty name, so the error lists those that there are.
    let Err(Error::UnknownType(names)) = decode::<E>("", b"") else { return "" };
    let is_named = |name: &str| {
        let rest = head.strip_prefix(b"{\"").and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.starts_with(b"\":"))
    };
    names.iter().copied().find(|name| is_named(name)).unwrap_or_default()
}

/// Presents a variant's name and its content to serde as one enum.
struct Tagged<'a> {
    ce_type: &'a str,
    data: &'a [u8],
}

impl<'a> Tagged<'a> {
    /// Reads the content, which is the whole of the data.
    fn content<T>(self, read: impl FnOnce(&mut Json<'a>) -> serde_json::Result<T>) -> Result<T, Error> {
        let mut json = Json::from_slice(self.data);
        let value = read(&mut json).map_err(Error::Data)?;
        json.end().map_err(Error::Data)?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if !variants.contains(&self.ce_type) {
            return Err(Error::UnknownType(variants));
        }
        visitor.visit_enum(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom(NOT_AN_EVENT))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'de, Error> = self.ce_type.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'de> {
    type Error = Error;

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.content(|json| seed.deserialize(json))
    }

    fn unit_variant(self) -> Result<(), Error> {
        Err(serde::de::Error::custom(NOT_AN_EVENT))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.content(|json| json.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content(|json| json.deserialize_struct("", fields, visitor))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(_) => f.write_str("unknown type"),
            Self::Data(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Data(serde::de::Error::custom(message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Parcel {
        #[serde(rename = "parcel.sent.v1")]
        Sent(Sent),
        #[serde(rename = "parcel.lost.v1")]
        Lost { by: String },
        #[serde(rename = "parcel.moved.v1")]
        Moved(String, u8),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sent {
        by: String,
    }

    proptest! {
        #[test]
        fn an_encoded_event_decodes_to_itself(by in any::<String>(), kind in 0..3_u8) {
            let event = match kind {
                0 => Parcel::Sent(Sent { by }),
                1 => Parcel::Lost { by },
                _ => Parcel::Moved(by, kind),
            };
            let (ce_type, data) = encode(&event).unwrap();
            prop_assert_eq!(name(&event), &ce_type);
            prop_assert_eq!(decode::<Parcel>(&ce_type, &data).unwrap(), event);
        }

        #[test]
        fn no_value_makes_decode_panic(data in any::<Vec<u8>>()) {
            let _ = decode::<Parcel>("parcel.sent.v1", &data);
        }
    }

    #[test]
    fn an_unknown_type_and_a_value_that_does_not_parse_are_different_errors() {
        assert!(matches!(decode::<Parcel>("parcel.painted.v1", b"{}"), Err(Error::UnknownType(_))));
        for broken in [&b"{}"[..], b"", b"{\"by\":1}", b"{\"by\":\"x\"} trailing", b"[[[["] {
            for ce_type in ["parcel.sent.v1", "parcel.lost.v1", "parcel.moved.v1"] {
                assert!(matches!(decode::<Parcel>(ce_type, broken), Err(Error::Data(_))));
            }
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(decode::<Parcel>("parcel.sent.v1", deep.as_bytes()), Err(Error::Data(_))));
    }
}
