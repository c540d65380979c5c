# Stores the contents FIRST to LAST under a path, one after the other.
require 'stringio'
require_relative 'store'

File.umask(0o027)
path, first, last = ARGV
(first.to_i..last.to_i).each { |number| store(path, StringIO.new(format('%08d', number) * 20_000)) }
