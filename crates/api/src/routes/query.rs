//! Queries of routes.

use banger_guest_api::{GetFiles, OfDirectory, PutFiles, PutSecret};
use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{RefOr, Required};

use crate::openapi::{Schemas, plain_alone};
use crate::{DaemonStop, EgressQuery, ImageDiff, ImageUpload, LogQuery, VmDelete, VmWait, WorkspaceQuery};

/// What a route takes in its query; nothing is `()`.
pub trait Query {
    /// Its values, for the API's description.
    fn parameters(schemas: &mut Schemas) -> Vec<Parameter>;

    /// It as the text behind `?`.
    fn to_query(&self) -> String;
}

impl Query for () {
    fn parameters(_: &mut Schemas) -> Vec<Parameter> {
        Vec::new()
    }

    fn to_query(&self) -> String {
        String::new()
    }
}

/// Queries that the daemon reads by `serde`.
macro_rules! by_serde {
    ($($query:ty),+ $(,)?) => {
        $(impl Query for $query {
            fn parameters(schemas: &mut Schemas) -> Vec<Parameter> {
                fields::<Self>(schemas)
            }

            fn to_query(&self) -> String {
                serde_urlencoded::to_string(self).expect("queries are flat")
            }
        })+
    };
}

/// Queries that go to the agent as they are, whose values may be any bytes.
macro_rules! of_the_agent {
    ($($query:ty),+ $(,)?) => {
        $(impl Query for $query {
            fn parameters(schemas: &mut Schemas) -> Vec<Parameter> {
                fields::<Self>(schemas)
            }

            fn to_query(&self) -> String {
                Self::to_query(self)
            }
        })+
    };
}

by_serde!(
    DaemonStop,
    VmDelete,
    EgressQuery,
    ImageDiff,
    ImageUpload,
    LogQuery,
    VmWait,
    WorkspaceQuery
);
of_the_agent!(GetFiles, OfDirectory, PutFiles, PutSecret);

/// A parameter for each field of a type.
fn fields<T: ToSchema>(schemas: &mut Schemas) -> Vec<Parameter> {
    schemas.add_parts::<T>();
    let RefOr::T(Schema::Object(object)) = T::schema() else {
        unreachable!("a query is a struct with named fields");
    };
    let required = object.required;
    let parameter = |(name, schema): (String, RefOr<Schema>)| {
        let is_required = required.contains(&name);
        ParameterBuilder::new()
            .description(description(&schema))
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(if is_required {
                Required::True
            } else {
                Required::False
            })
            .schema(Some(plain_alone(schema)))
            .build()
    };
    object.properties.into_iter().map(parameter).collect()
}

fn description(schema: &RefOr<Schema>) -> Option<String> {
    match schema {
        RefOr::Ref(reference) => Some(reference.description.clone()).filter(|text| !text.is_empty()),
        RefOr::T(Schema::Object(object)) => object.description.clone(),
        RefOr::T(Schema::Array(array)) => array.description.clone(),
        RefOr::T(_) => None,
    }
}
