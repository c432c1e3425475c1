// Package mediafile reads out of images, documents, audio and video how much they hold:
// their size, pages and seconds. It gets them as they stand in a request, as data URLs
// or in base64.
//
// Callers may send anything. The work on a file is linear in its size and bounded by
// constants, nothing is decoded but headers and what counts pages, and what is not
// understood counts by its size.
package mediafile
