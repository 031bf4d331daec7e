package rest

import (
	_ "embed"
	"net/http"
)

// document is the OpenAPI document. It is made from Endpoints, from the types of the answers
// and from their comments, by go test ./admin/rest -run TestOpenAPI -update: so no one writes
// it, it cannot say other things than the types, and a change of the API is a line of a
// review. Comments are there only when lb is built, which is why lb does not make it.
//
//go:embed openapi.json
var document []byte

func (s *Server) openAPI(c *call) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusOK)
	c.w.Write(document)
}
