require 'fileutils'
require 'securerandom'

def store(path, source)
  FileUtils.mkdir_p(File.dirname(path))
  temporary = File.join(File.dirname(path), ".upload-#{SecureRandom.uuid}")
  begin
    File.open(temporary, 'wxb') do |file|
      IO.copy_stream(source, file)
      file.fsync
    end
    File.rename(temporary, path)
  ensure
    FileUtils.rm_f(temporary)
  end
end
