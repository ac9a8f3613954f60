//! Our own client library, `clients/js/`.

mod embed;
mod library;
