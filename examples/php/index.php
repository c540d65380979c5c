<?php
// A PHP application with sessions. The gateway asks /whoami who sent a request.

const USERS = ['alice' => '7', 'bob' => '8'];
define('HASH', password_hash('open sesame', PASSWORD_DEFAULT));

$root = getenv('PRIVATE_ROOT') ?: 'private';
$media = getenv('MEDIA_URL') ?: 'http://127.0.0.1:8000/private/';

// SameSite: other sites cannot send a form with this cookie.
session_start(['name' => 'session', 'cookie_httponly' => true, 'cookie_samesite' => 'Lax', 'use_strict_mode' => true]);
$name = $_SESSION['name'] ?? null;

function redirect(): never
{
    header('Location: /', response_code: 303);
    exit;
}

switch ($_SERVER['REQUEST_METHOD'] . ' ' . strtok($_SERVER['REQUEST_URI'], '?')) {
    case 'GET /whoami':
        if ($name === null) {
            http_response_code(401);
            exit;
        }
        header('X-User-Id: ' . USERS[$name]);
        header('X-User-Name: ' . $name);
        // PHP forbids caching by default, and the gateway would ask for each file.
        header('Cache-Control: private, max-age=5');
        header_remove('Pragma');
        header_remove('Expires');
        exit;

    case 'POST /sign-in':
        if (!isset(USERS[$_POST['name'] ?? '']) || !password_verify($_POST['password'] ?? '', HASH)) {
            http_response_code(401);
            exit('wrong name or password');
        }
        // A new session, so that nobody else knows its id.
        session_regenerate_id(true);
        $_SESSION['name'] = $_POST['name'];
        redirect();

    case 'POST /sign-out':
        $_SESSION = [];
        session_destroy();
        redirect();

    case 'POST /photo':
        if ($name === null || !is_uploaded_file($_FILES['photo']['tmp_name'] ?? '')) {
            http_response_code($name === null ? 401 : 400);
            exit;
        }
        $folder = "$root/cars/" . USERS[$name];
        is_dir($folder) || mkdir($folder, 0750, true);
        // A hidden name, which the gateway does not serve, until the photo is whole: PHP's upload folder may be on another disk.
        $temporary = tempnam($folder, '.upload');
        move_uploaded_file($_FILES['photo']['tmp_name'], $temporary);
        chmod($temporary, 0640);
        rename($temporary, "$folder/photo.jpg");
        redirect();

    case 'GET /':
        break;

    default:
        http_response_code(404);
        exit;
}
?>
<!doctype html>
<title>Cars</title>
<?php if ($name === null): ?>
<form method="post" action="/sign-in"><input name="name"><input name="password" type="password"><button>Sign in</button></form>
<?php else: ?>
<p><?= htmlspecialchars($name) ?></p>
<form method="post" action="/sign-out"><button>Sign out</button></form>
<form method="post" action="/photo" enctype="multipart/form-data"><input type="file" name="photo"><button>Upload</button></form>
<img src="<?= htmlspecialchars($media) ?>cars/<?= USERS[$name] ?>/photo.jpg" alt="My car">
<?php endif ?>
