//! What routes answer when they succeed.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::openapi::{Schemas, bytes, event_stream, list_of, null};
use crate::{
    EVENT_DONE, EVENT_ERROR, EVENT_FLOW, EVENT_GAP, EVENT_PROGRESS, EgressGap, ErrorBody, Progress, VmFlow,
};

pub use super::body::Json;

/// A reply of a route.
pub trait Reply {
    /// Its status.
    const STATUS: u16;

    /// The protocols of which the client names one, for a connection that speaks another one afterwards; the best one first.
    const UPGRADES: &'static [&'static str] = &[];

    /// Whether it may come as events and as one value, as the client asks by `Accept`.
    const IS_WORK: bool = false;

    /// What comes, by content type.
    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)>;

    /// What it is, for people.
    fn shown() -> String;
}

/// A reply that is one value of JSON.
pub trait Value: Reply {
    /// Its type.
    type Value: DeserializeOwned;
}

impl<T: ToSchema> Reply for Json<T> {
    const STATUS: u16 = 200;

    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        vec![("application/json", schemas.named::<T>())]
    }

    fn shown() -> String {
        format!("`{}`", T::name())
    }
}

impl<T: ToSchema + DeserializeOwned> Value for Json<T> {
    type Value = T;
}

/// A JSON array.
#[derive(Debug)]
pub struct List<T>(PhantomData<T>);

impl<T: ToSchema> Reply for List<T> {
    const STATUS: u16 = 200;

    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        vec![("application/json", list_of(schemas.named::<T>()))]
    }

    fn shown() -> String {
        format!("list of `{}`", T::name())
    }
}

impl<T: ToSchema + DeserializeOwned> Value for List<T> {
    type Value = Vec<T>;
}

/// Server-sent events.
#[derive(Debug)]
pub struct Events<E>(PhantomData<E>);

/// The events of a stream.
pub trait EventKinds {
    /// What one of them is called in the API's description.
    fn name() -> String;

    /// Their names, and the schemas of their data.
    fn kinds(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)>;
}

impl<E: EventKinds> Reply for Events<E> {
    const STATUS: u16 = 200;

    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        let kinds = E::kinds(schemas);
        vec![("text/event-stream", event_stream(schemas, E::name(), kinds))]
    }

    fn shown() -> String {
        format!("events `{}`", E::name())
    }
}

/// Long work with a result: events of progress up to the result, or the result alone.
#[derive(Debug)]
pub struct Work<T>(PhantomData<T>);

impl<T: ToSchema> EventKinds for Work<T> {
    fn name() -> String {
        format!("{}Event", T::name())
    }

    fn kinds(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        vec![
            (EVENT_PROGRESS, schemas.named::<Progress>()),
            (EVENT_DONE, schemas.named::<T>()),
            (EVENT_ERROR, schemas.named::<ErrorBody>()),
        ]
    }
}

impl<T: ToSchema> Reply for Work<T> {
    const STATUS: u16 = 200;
    const IS_WORK: bool = true;

    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        [Json::<T>::contents(schemas), Events::<Self>::contents(schemas)].concat()
    }

    fn shown() -> String {
        format!("{}; or {}", Json::<T>::shown(), Events::<Self>::shown())
    }
}

/// The events of a VM that is held.
#[derive(Debug)]
pub struct Held;

impl EventKinds for Held {
    fn name() -> String {
        "HoldEvent".to_owned()
    }

    fn kinds(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        vec![
            (EVENT_PROGRESS, schemas.named::<Progress>()),
            (EVENT_DONE, null()),
            (EVENT_ERROR, schemas.named::<ErrorBody>()),
        ]
    }
}

/// What a VM reaches, as it comes.
#[derive(Debug)]
pub struct Flows;

impl EventKinds for Flows {
    fn name() -> String {
        "FlowEvent".to_owned()
    }

    fn kinds(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        vec![
            (EVENT_FLOW, schemas.named::<VmFlow>()),
            (EVENT_GAP, schemas.named::<EgressGap>()),
        ]
    }
}

/// The first, or the second if the query says so.
#[derive(Debug)]
pub struct Or<A, B>(PhantomData<(A, B)>);

impl<A: Reply, B: Reply> Reply for Or<A, B> {
    const STATUS: u16 = A::STATUS;

    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        [A::contents(schemas), B::contents(schemas)].concat()
    }

    fn shown() -> String {
        format!("{}; or {}", A::shown(), B::shown())
    }
}

impl<A: Value, B: Reply> Value for Or<A, B> {
    type Value = A::Value;
}

/// Bytes as they come.
#[derive(Debug)]
pub struct Raw;

impl Raw {
    /// Its content type: what a guest writes need not be text of any encoding.
    pub const CONTENT_TYPE: &str = "application/octet-stream";
}

impl Reply for Raw {
    const STATUS: u16 = 200;

    fn contents(_: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        vec![(Self::CONTENT_TYPE, bytes())]
    }

    fn shown() -> String {
        "bytes".to_owned()
    }
}

/// Nothing: it is done.
#[derive(Debug)]
pub struct NoContent;

/// Nothing: it begins.
#[derive(Debug)]
pub struct Accepted;

macro_rules! empty {
    ($($reply:ty = $status:literal),+) => {
        $(impl Reply for $reply {
            const STATUS: u16 = $status;

            fn contents(_: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
                Vec::new()
            }

            fn shown() -> String {
                stringify!($status).to_owned()
            }
        })+
    };
}

empty!(NoContent = 204, Accepted = 202);
