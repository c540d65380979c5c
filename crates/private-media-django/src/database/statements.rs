//! The SQL statements: every query that is sent to the database, except for the session settings.

use private_media_sql::Statement;

/// Key, data, and expiry in seconds since 1970.
pub(super) type SessionTuple = (String, String, i64);
/// Id, name, password, whether active, staff, superuser, and one group of the user, if there is one.
pub(super) type UserTuple = (i64, String, String, bool, bool, bool, Option<String>);

/// Times are truncated to seconds, so a session ends at most one second early.
pub(super) const SESSION: Statement = Statement {
    sqlite: "SELECT session_key, session_data, CAST(strftime('%s', expire_date) AS INTEGER)
        FROM django_session WHERE session_key = ?",
    postgres: "SELECT session_key, session_data, FLOOR(EXTRACT(EPOCH FROM expire_date))::bigint
        FROM django_session WHERE session_key = $1",
    mysql: "SELECT session_key, session_data, TIMESTAMPDIFF(SECOND, '1970-01-01', expire_date)
        FROM django_session WHERE session_key = ?",
};

macro_rules! users {
    ($id:literal, $where:literal) => {
        concat!(
            "SELECT ",
            $id,
            ", u.username, u.password, u.is_active, u.is_staff, u.is_superuser, g.name FROM auth_user u
                LEFT JOIN auth_user_groups m ON m.user_id = u.id LEFT JOIN auth_group g ON g.id = m.group_id
                WHERE ",
            $where
        )
    };
}

pub(super) const USER_BY_ID: Statement = Statement {
    sqlite: users!("u.id", "u.id = CAST(? AS INTEGER)"),
    postgres: users!("u.id::bigint", "u.id = CAST($1 AS bigint)"),
    mysql: users!("CAST(u.id AS SIGNED)", "u.id = CAST(? AS SIGNED)"),
};

pub(super) const USER_BY_NAME: Statement = Statement {
    sqlite: users!("u.id", "u.username = ?"),
    postgres: users!("u.id::bigint", "u.username = $1"),
    mysql: users!("CAST(u.id AS SIGNED)", "u.username = ?"),
};
