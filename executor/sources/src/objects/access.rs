//! From the text of a pipeline to a bucket.

use std::time::Duration;

use flowc_objects::{Access, Service};
use flowc_planner::plan::{ObjectAddress, ObjectScheme, Objects};

/// How long requests are tried again that a service does not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the bucket of an address is reached.
pub(super) fn access(objects: &Objects, address: &ObjectAddress) -> Access {
    let (service, bucket) = match address.scheme {
        ObjectScheme::S3 => (Service::S3, address.bucket.clone()),
        ObjectScheme::Gs => (Service::Google, address.bucket.clone()),
        ObjectScheme::Az => (Service::Azure, address.bucket.clone()),
        ObjectScheme::Http | ObjectScheme::Https => {
            (Service::Web, format!("{}://{}", address.scheme.name(), address.bucket))
        }
    };
    Access {
        service,
        bucket,
        region: objects.region.clone(),
        endpoint: objects.endpoint.clone(),
        anonymous: objects.anonymous,
        patience: PATIENCE,
    }
}
