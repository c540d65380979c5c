-- Tables of Wagtail 6, as its migrations create them, without those that the query does not need.
create table auth_group (id int not null primary key, name varchar(150) not null unique);
create table wagtailcore_collection (
    id int not null primary key,
    path varchar(255) not null unique,
    depth int not null,
    numchild int not null,
    name varchar(255) not null
);
create table wagtailcore_collectionviewrestriction (
    id int not null primary key,
    restriction_type varchar(20) not null,
    password varchar(255) not null,
    collection_id int not null references wagtailcore_collection (id)
);
create table wagtailcore_collectionviewrestriction_groups (
    id int not null primary key,
    collectionviewrestriction_id int not null references wagtailcore_collectionviewrestriction (id),
    group_id int not null references auth_group (id),
    unique (collectionviewrestriction_id, group_id)
);
create table wagtaildocs_document (
    id int not null primary key,
    title varchar(255) not null,
    file varchar(100) not null,
    created_at timestamp not null,
    uploaded_by_user_id int,
    collection_id int not null references wagtailcore_collection (id),
    file_size bigint,
    file_hash varchar(40) not null
);

insert into auth_group values (1, 'sales'), (2, 'press');
insert into wagtailcore_collection values
    (1, '0001', 1, 2, 'Root'),
    (2, '00010001', 2, 1, 'Sales'),
    (3, '000100010001', 3, 0, 'Prices'),
    (4, '00010002', 2, 0, 'With a password');
insert into wagtailcore_collectionviewrestriction values (1, 'groups', '', 2), (2, 'password', 'secret', 4);
insert into wagtailcore_collectionviewrestriction_groups values (1, 1, 1);
insert into wagtaildocs_document values
    (1, 'Brochure', 'documents/brochure.pdf', '2026-11-29 04:46:25', 7, 1, 9, ''),
    (2, 'Prices', 'documents/prices_x7Fq2Ab.pdf', '2026-11-29 04:46:25', 7, 3, 9, ''),
    (3, 'Plan', 'documents/plan.pdf', '2026-11-29 04:46:25', null, 4, 9, '');
