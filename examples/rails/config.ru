# A Rails application in one file, with Rails' session cookie. The gateway asks /whoami who sent a request.
require "action_controller/railtie"
require "fileutils"
require "securerandom"

class Cars < Rails::Application
  config.eager_load = true
  config.logger = Logger.new($stderr, level: :warn)
  config.secret_key_base = ENV.fetch("SECRET_KEY_BASE") { SecureRandom.hex(64) }
  config.session_store :cookie_store, key: "session", httponly: true, same_site: :lax
  config.hosts.clear

  routes.append do
    root to: "cars#index"
    post "sign-in", to: "cars#sign_in"
    post "sign-out", to: "cars#sign_out"
    post "photo", to: "cars#photo"
    get "whoami", to: "cars#whoami"
  end
end

class CarsController < ActionController::Base
  ROOT = File.expand_path(ENV.fetch("PRIVATE_ROOT", "private"))
  MEDIA_URL = ENV.fetch("MEDIA_URL", "http://127.0.0.1:8000/private/")
  IDS = { "alice" => "7", "bob" => "8" }.freeze
  PASSWORD = "open sesame" # A real application has has_secure_password.

  # Each form carries a token, which other sites do not know.
  protect_from_forgery with: :exception
  before_action(only: %i[photo whoami]) { head :unauthorized unless name }
  helper_method :name
  def name = session[:name]

  def index
    render inline: <<~PAGE
      <!doctype html><title>Cars</title>
      <% if name %>
        <p><%= name %> <%= button_to "Sign out", "/sign-out" %>
        <%= form_with url: "/photo", multipart: true, local: true do |form| %>
          <%= form.file_field :photo %><%= form.submit "Upload" %>
        <% end %>
        <img src="<%= CarsController::MEDIA_URL %>cars/<%= CarsController::IDS[name] %>/photo.jpg" alt="My car">
      <% else %>
        <%= form_with url: "/sign-in", local: true do |form| %>
          <%= form.text_field :name %><%= form.password_field :password %><%= form.submit "Sign in" %>
        <% end %>
      <% end %>
    PAGE
  end

  def sign_in
    correct = ActiveSupport::SecurityUtils.secure_compare(params[:password].to_s, PASSWORD)
    return head :unauthorized unless correct && IDS.key?(params[:name])

    reset_session
    session[:name] = params[:name]
    redirect_to "/", status: :see_other
  end

  def sign_out
    reset_session
    redirect_to "/", status: :see_other
  end

  def photo
    folder = File.join(ROOT, "cars", IDS[name])
    FileUtils.mkdir_p(folder)
    # A hidden name, which the gateway does not serve, until the photo is whole.
    temporary = File.join(folder, ".upload#{SecureRandom.hex(8)}")
    FileUtils.cp(params.require(:photo).path, temporary)
    File.rename(temporary, File.join(folder, "photo.jpg"))
    redirect_to "/", status: :see_other
  end

  def whoami
    response.set_header("X-User-Id", IDS[name])
    response.set_header("X-User-Name", name)
    # Rails forbids caching by default, and the gateway would ask for each file.
    expires_in 5.seconds
    head :ok
  end
end

Cars.initialize!
run Cars
