-- The table of django-filer 3, as its migrations create it.
create table filer_file (
    id int not null primary key,
    file varchar(255),
    _file_size bigint,
    sha1 varchar(40) not null,
    has_all_mandatory_data boolean not null,
    original_filename varchar(255),
    name varchar(255) not null,
    description text,
    uploaded_at timestamp not null,
    modified_at timestamp not null,
    is_public boolean not null,
    mime_type varchar(255) not null,
    folder_id int,
    owner_id int,
    polymorphic_ctype_id int
);

insert into filer_file (id, file, sha1, has_all_mandatory_data, original_filename, name, uploaded_at, modified_at,
    is_public, mime_type, owner_id) values
    (1, '6f/3a/6f3a0c1e/coupe.jpg', '', false, 'My coupé.jpg', '', '2026-11-29 04:46:25', '2026-11-29 04:46:25',
        false, 'image/jpeg', 7),
    (2, '9b/1c/9b1c2d3e/letter.txt', '', false, 'letter.txt', '', '2026-11-29 04:46:25', '2026-11-29 04:46:25',
        false, 'text/plain', null),
    (3, 'aa/bb/aabb0011/public.jpg', '', false, 'public.jpg', '', '2026-11-29 04:46:25', '2026-11-29 04:46:25',
        true, 'image/jpeg', 7);
