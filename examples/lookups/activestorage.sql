-- The tables of Active Storage (Rails 7.1), as its migration creates them, and a table of the application.
create table active_storage_blobs (
    id bigint not null primary key,
    "key" varchar(255) not null unique,
    filename varchar(255) not null,
    content_type varchar(255),
    metadata text,
    service_name varchar(255) not null,
    byte_size bigint not null,
    checksum varchar(255),
    created_at timestamp not null
);
create table active_storage_attachments (
    id bigint not null primary key,
    name varchar(255) not null,
    record_type varchar(255) not null,
    record_id bigint not null,
    blob_id bigint not null references active_storage_blobs (id),
    created_at timestamp not null,
    unique (record_type, record_id, name, blob_id)
);
create table active_storage_variant_records (
    id bigint not null primary key,
    blob_id bigint not null references active_storage_blobs (id),
    variation_digest varchar(255) not null,
    unique (blob_id, variation_digest)
);
create table cars (id bigint not null primary key, user_id bigint);

insert into cars values (1, 7), (2, 8), (3, null);
insert into active_storage_blobs values
    (1, 'x7fq2ab3', 'My coupé.jpg', 'image/jpeg', null, 'local', 9, null, '2026-11-29 04:46:25'),
    (2, 'v4r1ant5', 'My coupé.webp', 'image/webp', null, 'local', 9, null, '2026-11-29 04:46:25'),
    (3, 'b0bscar6', 'page.html', 'text/html', null, 'local', 9, null, '2026-11-29 04:46:25'),
    (4, 'orphan77', 'orphan.jpg', 'image/jpeg', null, 'local', 9, null, '2026-11-29 04:46:25'),
    (5, 'nobody88', 'nobody.jpg', 'image/jpeg', null, 'local', 9, null, '2026-11-29 04:46:25');
insert into active_storage_variant_records values (1, 1, 'digest');
insert into active_storage_attachments values
    (1, 'photos', 'Car', 1, 1, '2026-11-29 04:46:25'),
    (2, 'image', 'ActiveStorage::VariantRecord', 1, 2, '2026-11-29 04:46:25'),
    (3, 'photos', 'Car', 2, 3, '2026-11-29 04:46:25'),
    (4, 'photos', 'Car', 3, 5, '2026-11-29 04:46:25'),
    (5, 'cover', 'Car', 1, 1, '2026-11-29 04:46:25');
