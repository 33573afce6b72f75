package httppub

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"waft/broker"
)

// packed tells whether the request's body is compressed. errEncoding: with something else than gzip.
func packed(r *http.Request) (bool, error) {
	switch e := r.Header.Get("Content-Encoding"); {
	case e == "" || strings.EqualFold(e, "identity"):
		return false, nil
	case strings.EqualFold(e, "gzip") || strings.EqualFold(e, "x-gzip"): // RFC 9110 §8.4.1.3
		return true, nil
	}
	return false, errEncoding
}

var unpackers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// gunzip reads what is compressed in from. How much comes out is for its reader to limit: a kilobyte can become a megabyte.
type gunzip struct {
	from io.Reader
	zip  *gzip.Reader // nil until the first Read, which may be the first of the body: only then a client is told to go on
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.zip == nil {
		z := unpackers.Get().(*gzip.Reader)
		if err := z.Reset(g.from); err != nil {
			unpackers.Put(z)
			if errors.Is(err, io.EOF) { // there was nothing at all
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		g.zip = z
	}
	return g.zip.Read(p)
}

// Close gives back what reading took. There is no Read after it.
func (g *gunzip) Close() error {
	if g.zip != nil {
		unpackers.Put(g.zip)
		g.zip = nil
	}
	return nil
}

// badGzip is err in words, if the compression is at fault; else nil.
func badGzip(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return &broker.Error{Kind: broker.Invalid, Text: "the body is not valid gzip, as its Content-Encoding says", Err: err}
	}
	return nil
}
