//! Schemas in the form in which generators of clients take them, and which says no more than the API means.
//!
//! - *No defaults.* They are the daemon's: a client that knows one would send it, and keep it when a later daemon has another.
//! - *One object for one object.* Tagged variants and flattened fields come as `allOf` of their parts. Where a part allows no other
//!   properties, nothing would be valid.

use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, AllOf, ArrayItems, Object, Schema};

type All = BTreeMap<String, RefOr<Schema>>;

/// All schemas, plain.
pub(super) fn plain(all: &All) -> All {
    let mut made = all.clone();
    for schema in made.values_mut() {
        simplify(schema, all);
    }
    made
}

/// A schema that refers to no part of another one, plain.
pub(crate) fn plain_alone(mut schema: RefOr<Schema>) -> RefOr<Schema> {
    simplify(&mut schema, &All::new());
    schema
}

fn simplify(schema: &mut RefOr<Schema>, all: &All) {
    let schema = match schema {
        RefOr::Ref(reference) => return reference.default = None,
        RefOr::T(schema) => schema,
    };
    if let Schema::AllOf(parts) = schema
        && let Some(object) = merged(parts, all)
    {
        *schema = Schema::Object(object);
    }
    match schema {
        Schema::Object(object) => {
            object.default = None;
            for property in object.properties.values_mut() {
                simplify(property, all);
            }
            if let Some(AdditionalProperties::RefOr(value)) = object.additional_properties.as_deref_mut() {
                simplify(value, all);
            }
        }
        Schema::Array(array) => {
            array.default = None;
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                simplify(items, all);
            }
        }
        Schema::OneOf(one) => {
            one.default = None;
            one.items.iter_mut().for_each(|item| simplify(item, all));
        }
        Schema::AllOf(parts) => parts.items.iter_mut().for_each(|item| simplify(item, all)),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(|item| simplify(item, all)),
        _ => {}
    }
}

/// The object that has the properties of all parts, if these are objects.
fn merged(parts: &AllOf, all: &All) -> Option<Object> {
    let mut whole = Object::new();
    whole.description.clone_from(&parts.description);
    for part in &parts.items {
        let Schema::Object(part) = resolved(part, all)? else {
            return None;
        };
        whole.properties.extend(part.properties.clone());
        whole.required.extend(part.required.iter().cloned());
        // One that allows no others means its own and those beside it.
        whole.additional_properties = part.additional_properties.clone().or(whole.additional_properties);
    }
    Some(whole)
}

fn resolved<'a>(schema: &'a RefOr<Schema>, all: &'a All) -> Option<&'a Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            resolved(all.get(name)?, all)
        }
    }
}
