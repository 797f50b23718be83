package httpctx

import (
	"net/http"

	"github.com/authctx/authctx"
)

// methodOverrides are the fields in which a client names another method for its
// request, as gorilla/handlers, Rails, method-override of Express and OData read them.
var methodOverrides = authctx.FieldSet{Names: []string{"x-http-method-override", "x-http-method", "x-method-override"}}

// overridesMethod reports whether some server would serve r by another method than
// its own.
func overridesMethod(r *http.Request) bool {
	for name, values := range r.Header {
		if name == "" || name[0]|0x20 != 'x' || !methodOverrides.Owns(name) { // as most do not begin
			continue
		}
		for _, method := range values {
			if method != "" && method != r.Method {
				return true
			}
		}
	}
	return false
}
