//! Bodies of requests.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::openapi::{Schemas, bytes};

/// What a route takes as its body; nothing is `()`.
pub trait Body {
    /// Its content type; none when there is no body.
    const CONTENT_TYPE: Option<&'static str>;

    /// Its schema, for the API's description.
    fn schema(schemas: &mut Schemas) -> Option<RefOr<Schema>>;

    /// Whether it has to be there.
    fn is_required() -> bool;

    /// What it is, for people.
    fn shown() -> String;
}

impl Body for () {
    const CONTENT_TYPE: Option<&'static str> = None;

    fn schema(_: &mut Schemas) -> Option<RefOr<Schema>> {
        None
    }

    fn is_required() -> bool {
        false
    }

    fn shown() -> String {
        String::new()
    }
}

/// A JSON value, as a body or as a reply.
#[derive(Debug)]
pub struct Json<T>(PhantomData<T>);

impl<T: ToSchema + DeserializeOwned> Body for Json<T> {
    const CONTENT_TYPE: Option<&'static str> = Some("application/json");

    fn schema(schemas: &mut Schemas) -> Option<RefOr<Schema>> {
        Some(schemas.named::<T>())
    }

    /// An empty body is taken as `{}`, so it has to be there where that says too little.
    fn is_required() -> bool {
        serde_json::from_str::<T>("{}").is_err()
    }

    fn shown() -> String {
        format!("`{}`", T::name())
    }
}

/// Bytes as they are.
#[derive(Debug)]
pub struct Bytes<W>(PhantomData<W>);

/// What bytes are.
pub trait Meaning {
    /// What they are, for people.
    const SHOWN: &'static str;
}

/// A tar, plain or compressed.
#[derive(Debug)]
pub struct Tar;

/// The value of a secret.
#[derive(Debug)]
pub struct SecretValue;

/// Paths below a directory.
#[derive(Debug)]
pub struct Paths;

impl Meaning for Tar {
    const SHOWN: &'static str = "a tar: plain, gzip, zstd or xz";
}

impl Meaning for SecretValue {
    const SHOWN: &'static str = "the secret's value";
}

impl Meaning for Paths {
    const SHOWN: &'static str = "paths, each ended by a NUL";
}

impl<W: Meaning> Body for Bytes<W> {
    const CONTENT_TYPE: Option<&'static str> = Some("application/octet-stream");

    fn schema(_: &mut Schemas) -> Option<RefOr<Schema>> {
        Some(bytes())
    }

    fn is_required() -> bool {
        true
    }

    fn shown() -> String {
        W::SHOWN.to_owned()
    }
}
