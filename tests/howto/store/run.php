<?php
// Stores the contents FIRST to LAST under a path, one after the other.

umask(0027);
require __DIR__ . '/store.php';

[, $path, $first, $last] = $argv;
for ($number = (int) $first; $number <= (int) $last; $number++) {
    $source = fopen('php://temp', 'w+');
    fwrite($source, str_repeat(sprintf('%08d', $number), 20000));
    rewind($source);
    store($path, $source);
}
