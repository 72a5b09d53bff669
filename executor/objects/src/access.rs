//! From the text of a pipeline to a bucket.

use std::time::Duration;

use flowc_planner::plan::{ObjectAddress, ObjectScheme};

use crate::bucket::{Access, Service};

/// How long requests are tried again that a service does not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the bucket of an address is reached.
pub fn access(address: &ObjectAddress, region: Option<&str>, endpoint: Option<&str>, anonymous: bool) -> Access {
    let (service, bucket) = match address.scheme {
        ObjectScheme::S3 => (Service::S3, address.bucket.clone()),
        ObjectScheme::Gs => (Service::Google, address.bucket.clone()),
        ObjectScheme::Az => (Service::Azure, address.bucket.clone()),
        ObjectScheme::Http | ObjectScheme::Https => {
            (Service::Web, format!("{}://{}", address.scheme.name(), address.bucket))
        }
    };
    let (region, endpoint) = (region.map(str::to_owned), endpoint.map(str::to_owned));
    Access { service, bucket, region, endpoint, anonymous, patience: PATIENCE }
}
