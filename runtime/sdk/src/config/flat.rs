//! A serde deserializer over a flat map of strings.

use super::{
    Definition, Finding, Flat, Key, Shape,
    shape::{boolean, choose, items, number, trimmed},
};
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, VariantAccess, Visitor,
        value::{MapDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use std::fmt;

/// Reads a struct out of a map that its definition found nothing wrong with.
pub(super) fn deserialize<T: DeserializeOwned>(
    flat: &Flat,
    definition: &Definition,
) -> Result<T, Finding> {
    T::deserialize(Root { flat, definition }).map_err(|problem| {
        if definition.is_secret(&problem.key) {
            // The text may quote the value (I8).
            Finding::new(problem.key, "its value cannot be used")
        } else {
            Finding::new(problem.key, problem.text)
        }
    })
}

#[derive(Debug)]
struct Problem {
    key: String,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}
impl std::error::Error for Problem {}

impl serde::de::Error for Problem {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self {
            key: String::new(),
            text: text.to_string(),
        }
    }
    fn missing_field(field: &'static str) -> Self {
        Self {
            key: field.to_owned(),
            text: "required, but missing".to_owned(),
        }
    }
}

struct Root<'a> {
    flat: &'a Flat,
    definition: &'a Definition,
}

impl<'a> Root<'a> {
    /// The fields there is something for: a group always, any other key if the map has it.
    fn fields(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> + use<'a> {
        let (flat, definition) = (self.flat, self.definition);
        definition.keys.iter().filter_map(move |key| {
            let field = if key.is_prefix() {
                Field::Group(Group {
                    flat,
                    definition,
                    key,
                })
            } else {
                Field::One(Text {
                    text: trimmed(flat.get(&key.name)?),
                    shape: &key.shape,
                })
            };
            Some((key.name.as_str(), field))
        })
    }
}

impl<'de> Deserializer<'de> for Root<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(Fields {
            rest: self.fields(),
            next: None,
        })
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option seq tuple tuple_struct
        map struct enum identifier ignored_any
    }
}

enum Field<'a> {
    One(Text<'a>),
    Group(Group<'a>),
}

struct Fields<'a, I> {
    rest: I,
    next: Option<(&'a str, Field<'a>)>,
}

impl<'de, 'a, I: Iterator<Item = (&'a str, Field<'a>)>> MapAccess<'de> for Fields<'a, I> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        self.next = self.rest.next();
        let Some((name, _)) = &self.next else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Problem> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Problem> {
        let (name, field) = self
            .next
            .take()
            .ok_or_else(|| Problem::custom("a value was asked for before its key"))?;
        let read = match field {
            Field::One(text) => seed.deserialize(text),
            Field::Group(group) => seed.deserialize(group),
        };
        read.map_err(|mut problem| {
            problem.key.insert_str(0, name);
            problem
        })
    }
}

/// The keys below a prefix.
struct Group<'a> {
    flat: &'a Flat,
    definition: &'a Definition,
    key: &'a Key,
}

impl<'de> Deserializer<'de> for Group<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let entries = self.definition.group(self.key, self.flat);
        let texts = entries.map(|(name, value)| {
            let text = Text {
                text: trimmed(value),
                shape: &self.key.shape,
            };
            (&name[self.key.name.len()..], text)
        });
        visitor.visit_map(MapDeserializer::new(texts))
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct enum identifier ignored_any
    }
}

/// One value: its text, trimmed, and what the schema says of it.
#[derive(Clone, Copy)]
struct Text<'a> {
    text: &'a str,
    shape: &'a Shape,
}

impl Text<'_> {
    fn expected(self, what: &'static str) -> Problem {
        Problem::invalid_value(Unexpected::Str(self.text), &what)
    }
    fn parse<T: std::str::FromStr>(self, what: &'static str) -> Result<T, Problem> {
        self.text.parse().map_err(|_| self.expected(what))
    }
}

impl<'de> IntoDeserializer<'de, Problem> for Text<'_> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            visitor.$visit(self.parse("an integer")?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Problem;

    /// Who does not say what is wanted (a buffered or untagged value) gets what the schema says.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.shape {
            Shape::Bool => self.deserialize_bool(visitor),
            Shape::Int { min, .. } if *min >= 0 => self.deserialize_u64(visitor),
            Shape::Int { .. } => self.deserialize_i64(visitor),
            Shape::Float { .. } => self.deserialize_f64(visitor),
            Shape::List { .. } => self.deserialize_seq(visitor),
            Shape::Choice(names) => {
                visitor.visit_str(choose(self.text, names).map_or(self.text, String::as_str))
            }
            Shape::Text { .. } | Shape::Any => visitor.visit_str(self.text),
        }
    }
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_bool(boolean(self.text).ok_or_else(|| self.expected("true or false"))?)
    }
    whole_numbers! {
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32 deserialize_i64 visit_i64
        deserialize_i128 visit_i128 deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
    }
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f32(self.parse("a number")?)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f64(number(self.text).ok_or_else(|| self.expected("a number"))?)
    }
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_char(self.parse("one character")?)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(self.text)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(self.text)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let shape = match self.shape {
            Shape::List { item, .. } => item.as_ref(),
            _ => &Shape::Any,
        };
        visitor.visit_seq(Items {
            rest: items(self.text),
            shape,
        })
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let name = choose(self.text, variants)
            .ok_or_else(|| Problem::unknown_variant(self.text, variants))?;
        visitor.visit_enum(Variant(name))
    }
    forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a, I> {
    rest: I,
    shape: &'a Shape,
}

impl<'de, 'a, I: Iterator<Item = &'a str>> SeqAccess<'de> for Items<'a, I> {
    type Error = Problem;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        let Some(text) = self.rest.next() else {
            return Ok(None);
        };
        let shape = self.shape;
        seed.deserialize(Text { text, shape }).map(Some)
    }
}

struct Variant(&'static str);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Problem;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        let name: StrDeserializer<'_, Problem> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Problem;
    fn unit_variant(self) -> Result<(), Problem> {
        Ok(())
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Problem> {
        Err(Problem::custom(
            "a name with a value of its own cannot be given in a flat config",
        ))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Problem> {
        Err(Problem::custom(
            "a name with values of its own cannot be given in a flat config",
        ))
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Problem> {
        Err(Problem::custom(
            "a name with fields of its own cannot be given in a flat config",
        ))
    }
}
