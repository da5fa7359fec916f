//! The schemas that a description refers to.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;

use utoipa::ToSchema;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{Ref, RefOr};

use super::plain::plain;

/// Schemas by name: those of all types that were asked for, and of all types in them.
#[derive(Default)]
pub struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    /// A reference to the schema of a type.
    pub fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.add(T::name().into_owned(), T::schema());
        self.add_parts::<T>();
        Self::reference(&T::name())
    }

    /// Adds the types in a type, and not the type.
    pub(crate) fn add_parts<T: ToSchema>(&mut self) {
        let mut found = Vec::new();
        T::schemas(&mut found);
        for (name, schema) in found {
            self.add(name, schema);
        }
    }

    pub(crate) fn reference(name: &str) -> RefOr<Schema> {
        Ref::from_schema_name(name).into()
    }

    /// # Panics
    /// When another type has the name: a client could not tell them apart.
    fn add(&mut self, name: String, schema: RefOr<Schema>) {
        let there = self.0.entry(name.clone()).or_insert_with(|| schema.clone());
        assert!(*there == schema, "two types of the API are called {name}");
    }
}

impl IntoIterator for Schemas {
    type Item = (String, RefOr<Schema>);
    type IntoIter = IntoIter<String, RefOr<Schema>>;

    fn into_iter(self) -> Self::IntoIter {
        plain(&self.0).into_iter()
    }
}

/// Bytes.
pub(crate) fn bytes() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .into()
}

/// `null`.
pub(crate) fn null() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Null).into()
}

/// An array.
pub(crate) fn list_of(items: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(items).into()
}

/// A text of server-sent events of these kinds. One of them is a schema of its own: clients know a stream's events by that.
pub(crate) fn event_stream(
    schemas: &mut Schemas,
    name: String,
    kinds: Vec<(&'static str, RefOr<Schema>)>,
) -> RefOr<Schema> {
    let event = |(kind, data): (&str, RefOr<Schema>)| {
        ObjectBuilder::new()
            .property(
                "event",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some([kind])),
            )
            .required("event")
            .property("data", data)
            .required("data")
    };
    let event = kinds
        .into_iter()
        .map(event)
        .fold(OneOfBuilder::new(), OneOfBuilder::item)
        .description(Some(
            "An event of the stream: its name, and what its data is as JSON.",
        ));
    schemas.add(name.clone(), event.into());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "Server-sent events, which come as long as the work goes on.",
        ))
        .content_media_type("text/event-stream")
        .content_schema(Some(list_of(Schemas::reference(&name))))
        .into()
}
