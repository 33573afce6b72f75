// Package openapitest holds what an HTTP handler answers against an OpenAPI 3.1 document, in tests.
//
//	handler's tests ─▶ Document.Handler ─▶ handler
//	                          │ each request and its answer
//	                          ▼
//	                   Document.Check      an operation, a status, headers, a body that are not documented: the test fails
//	                          │ what was seen
//	                          ▼
//	                   Document.Run        a documented answer that no test has brought about: the tests fail
//
// So the document cannot say less than the handlers do, nor more.
//
// # What is checked
//
// The status belongs to the operation. The content type is one of the status, and the body is what its schema says: each line of it, if it
// is application/x-ndjson; the document lets answers grow, and here they may not: a member that it does not name is a fault.
// The headers are those of the status, each as its schema wants it, and those that are required are there; plainHeaders needs no word.
// A request that was taken (2xx) is one that the document allows: its query and its body.
//
// HEAD is answered as GET, without a body. A method that an address does not have is refused with 405, in the words of the component
// MethodNotAllowed, and its Allow names those that the address has. An address that there is not is refused as NotFound or Invalid say.
//
// # Files
//
//	document.go   the document, its operations, and which is asked for
//	schema.go     schemas made ready, for requests as they stand and for answers without room to grow
//	check.go      one exchange; headers.go, request.go parts of it
//	handler.go    a handler that is checked; coverage.go what was seen
//	generate.go   requests made from the document, right ones and wrong ones
//
// # Deliberately not done
//
// It is no general validator: it knows the part of OpenAPI that waft's document uses. It does not import what it checks, so that
// the tests inside of those packages can import it.
package openapitest
