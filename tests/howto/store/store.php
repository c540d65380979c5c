<?php
function store(string $path, $source): void
{
    is_dir(dirname($path)) || mkdir(dirname($path), 0750, true);
    $temporary = dirname($path) . '/.upload-' . bin2hex(random_bytes(16));
    try {
        $file = fopen($temporary, 'x');
        while (($part = fread($source, 1 << 16)) !== '' && $part !== false) {
            if (fwrite($file, $part) !== strlen($part)) throw new RuntimeException("cannot write $path");
        }
        fsync($file) && fclose($file) && rename($temporary, $path) || throw new RuntimeException("cannot store $path");
    } finally {
        is_file($temporary) && unlink($temporary);
    }
}
