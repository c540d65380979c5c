// A Go application in front of the gateway: it signs users in, and passes requests for private files on with the header Remote-User.
package main

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"html/template"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

type user struct{ ID, Name string }

var (
	users    = map[string]user{"alice": {"7", "alice"}, "bob": {"8", "bob"}}
	password = setting("PASSWORD", "open sesame") // A real application keeps a hash per user.
	root     = setting("PRIVATE_ROOT", "private")
	sessions sync.Map // From a random token to a user. A real application keeps them in its database.
	page     = template.Must(template.New("page").Parse(`<!doctype html><title>Cars</title>
{{if .}}<p>{{.Name}} <form method=post action=/sign-out><button>Sign out</button></form>
<form method=post action=/photo enctype=multipart/form-data><input type=file name=photo><button>Upload</button></form>
<img src="/private/cars/{{.ID}}/photo.jpg" alt="My car">
{{else}}<form method=post action=/sign-in><input name=name><input name=password type=password><button>Sign in</button></form>{{end}}`))
)

func main() {
	gateway, err := url.Parse(setting("GATEWAY", "http://127.0.0.1:8000"))
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(gateway)

	http.HandleFunc("/private/", func(w http.ResponseWriter, r *http.Request) {
		// What the client sent under this name is never passed on.
		r.Header.Del("Remote-User")
		if user := signedIn(r); user != nil {
			r.Header.Set("Remote-User", user.ID)
		}
		proxy.ServeHTTP(w, r)
	})
	http.HandleFunc("/sign-in", post(signIn))
	http.HandleFunc("/sign-out", post(signOut))
	http.HandleFunc("/photo", post(photo))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		// A typed nil is not a nil interface, which the template tests for.
		if user := signedIn(r); user != nil {
			_ = page.Execute(w, user)
		} else {
			_ = page.Execute(w, nil)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+setting("PORT", "9000"), nil))
}

func signIn(w http.ResponseWriter, r *http.Request) {
	user, known := users[r.PostFormValue("name")]
	if subtle.ConstantTimeCompare([]byte(r.PostFormValue("password")), []byte(password)) == 0 || !known {
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	token := make([]byte, 32)
	if _, err := rand.Read(token); err != nil {
		http.Error(w, "try again later", http.StatusInternalServerError)
		return
	}
	session := hex.EncodeToString(token)
	sessions.Store(session, user)
	// SameSite: other sites cannot send a form with this cookie.
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie("session"); err == nil {
		sessions.Delete(cookie.Value)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func photo(w http.ResponseWriter, r *http.Request) {
	user := signedIn(r)
	if user == nil {
		http.Error(w, "sign in", http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 20<<20)
	upload, _, err := r.FormFile("photo")
	if err != nil {
		http.Error(w, "a photo is missing", http.StatusBadRequest)
		return
	}
	defer upload.Close()
	if err := store(upload, filepath.Join(root, "cars", user.ID), "photo.jpg"); err != nil {
		log.Print(err)
		http.Error(w, "the photo could not be stored", http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// store writes a file under a hidden name, which the gateway does not serve, and renames it when it is whole.
func store(content io.Reader, folder, name string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".upload")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), filepath.Join(folder, name))
}

func signedIn(r *http.Request) *user {
	cookie, err := r.Cookie("session")
	if err != nil {
		return nil
	}
	if found, ok := sessions.Load(cookie.Value); ok {
		user := found.(user)
		return &user
	}
	return nil
}

func post(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		handler(w, r)
	}
}

func setting(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}
