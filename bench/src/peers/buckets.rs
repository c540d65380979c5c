//! Files in a bucket. Its store is an nginx that knows no signatures, on the core of the client; it is not measured.

use std::net::SocketAddr;

use super::{nginx, own};
use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Server, Testbed, free_address};
use crate::work::OF_BUCKETS;

/// Starts the store of a bucket.
fn store(bed: &Testbed, name: &str) -> Result<(SocketAddr, Server)> {
    let address = free_address()?;
    let root = bed.root().display().to_string();
    let block = format!(
        "open_file_cache max=10000 inactive=60s;\nopen_file_cache_valid 30s;\n\
         server {{\n listen {address} backlog=4096;\n location /uploads/media/ {{ alias {root}/; }}\n}}\n"
    );
    Ok((address, nginx::start_beside_client(bed, &format!("{name}-store"), address, &block)?))
}

/// Starts nginx without authorization, with the buffers of the printed configuration.
pub(super) fn public(bed: &Testbed) -> Result<RunningPeer> {
    let name = "nginx-bucket";
    let (address, (store, server)) = (free_address()?, store(bed, name)?);
    let block = format!(
        "upstream store {{ server {store}; keepalive 32; }}\n\
         server {{\n listen {address} backlog=4096;\n location /private/ {{ proxy_pass http://store/uploads/media/; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_max_temp_file_size 0; proxy_buffer_size 16k; \
         proxy_buffers 8 16k; }}\n}}\n"
    );
    let nginx = nginx::start(bed, name, address, &block)?;
    Ok(with_store(RunningPeer::public(address, vec![nginx]), server))
}

/// Starts a gateway that sends the files of the bucket.
pub(super) fn gateway(bed: &Testbed) -> Result<RunningPeer> {
    alone(bed, "gateway-bucket", &[])
}

/// Like [`gateway`], with a cache. The check before a measurement fills it.
pub(super) fn cached(bed: &Testbed) -> Result<RunningPeer> {
    alone(bed, "gateway-bucket-cache", &["--cache-path", "cache"])
}

fn alone(bed: &Testbed, name: &str, more: &[&str]) -> Result<RunningPeer> {
    let (address, (store, server)) = (free_address()?, store(bed, name)?);
    let gateway = own::serve_root(&own::current()?, bed, name, (address, Some(store)), more)?;
    Ok(with_store(private(bed, address, vec![gateway])?, server))
}

/// Starts a gateway, and nginx that fetches what the gateway permits.
pub(super) fn fetched_by_nginx(bed: &Testbed) -> Result<RunningPeer> {
    behind_nginx(bed, "gateway-bucket-nginx", &[])
}

/// Like [`fetched_by_nginx`], with the metadata of objects in memory.
pub(super) fn fetched_by_nginx_with_metadata(bed: &Testbed) -> Result<RunningPeer> {
    behind_nginx(bed, "gateway-bucket-nginx-cache", &["--cache-path", "metadata-cache"])
}

fn behind_nginx(bed: &Testbed, name: &str, more: &[&str]) -> Result<RunningPeer> {
    let (address, front, (store, server)) = (free_address()?, free_address()?, store(bed, name)?);
    let program = own::current()?;
    let flags = [&own::HAND_OFF[..], more].concat();
    let gateway = own::serve_root(&program, bed, name, (address, Some(store)), &flags)?;
    let block = own::nginx_block(&program, bed, Some(store), (address, front))?;
    let nginx = nginx::start(bed, &format!("{name}-front"), front, &block)?;
    Ok(with_store(private(bed, front, vec![gateway, nginx])?, server))
}

fn private(bed: &Testbed, address: SocketAddr, servers: Vec<Server>) -> Result<RunningPeer> {
    Ok(RunningPeer::private(address, servers, ("Cookie", own::cookie(bed)?)))
}

fn with_store(peer: RunningPeer, store: Server) -> RunningPeer {
    RunningPeer { others: vec![store], only: Some(OF_BUCKETS), ..peer }
}
