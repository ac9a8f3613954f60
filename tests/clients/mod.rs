//! Our own client library, `clients/js/`.

mod library;
