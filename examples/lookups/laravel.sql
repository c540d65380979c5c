-- The table of spatie/laravel-medialibrary (version 11), as its migration creates it, and tables of the application.
create table media (
    id bigint not null primary key,
    model_type varchar(255) not null,
    model_id bigint not null,
    uuid char(36) unique,
    collection_name varchar(255) not null,
    name varchar(255) not null,
    file_name varchar(255) not null,
    mime_type varchar(255),
    disk varchar(255) not null,
    conversions_disk varchar(255),
    size bigint not null,
    manipulations json not null,
    custom_properties json not null,
    generated_conversions json not null,
    responsive_images json not null,
    order_column int,
    created_at timestamp null,
    updated_at timestamp null
);
create table uploads (
    id bigint not null primary key,
    user_id bigint,
    path varchar(255) not null unique,
    original_name varchar(255) not null,
    mime_type varchar(255),
    created_at timestamp null,
    updated_at timestamp null
);
create table cars (id bigint not null primary key, user_id bigint);

insert into cars values (1, 7), (2, 8);
insert into media (id, model_type, model_id, collection_name, name, file_name, mime_type, disk, size,
    manipulations, custom_properties, generated_conversions, responsive_images) values
    (5, 'App\Models\Car', 1, 'photos', 'photo', 'photo.jpg', 'image/jpeg', 'private', 9, '[]', '[]', '[]', '[]'),
    (6, 'App\Models\Car', 2, 'photos', 'photo', 'photo.jpg', 'image/jpeg', 'private', 9, '[]', '[]', '[]', '[]'),
    (7, 'App\Models\Post', 1, 'photos', 'photo', 'photo.jpg', 'image/jpeg', 'private', 9, '[]', '[]', '[]', '[]');
insert into uploads (id, user_id, path, original_name, mime_type) values
    (1, 7, 'uploads/Zx7Fq2AbCd.jpg', 'My coupé.jpg', 'image/jpeg'),
    (2, 8, 'uploads/Yy8Gr3BcDe.bin', 'drawing.svg', 'image/svg+xml');
