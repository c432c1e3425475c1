// Package rest is the small web framework under the administration: routes that
// describe themselves, strict readers of bodies and queries, and refusals that
// name the field that is wrong. It knows keys and credit, but neither of the two
// APIs that are built on it.
//
// A [Route] is one entry of an API's table: its method and path, who may call it,
// its handler, and all that the OpenAPI document says about it. A handler gets a
// [Call], reads what it needs and returns an error for everything that is refused:
//
//	func (h *handler) rename(c *rest.Call) error {
//		f, err := c.Fields()
//		if err != nil {
//			return err
//		}
//		name := f.Text("name", 256)
//		f.Done() // a member that was not asked for is a mistake
//		if err := f.Err(); err != nil {
//			return err // 400 with the field's name
//		}
//		...
//		c.JSON(http.StatusOK, view)
//		return nil
//	}
//
// A [Server] finds the route of a request, has the [Guard] identify the caller, and
// writes refusals in the shape of the API that the path belongs to.
//
// # Caveats
//
//   - [Fields] and [Query] keep only the first problem. Reading goes on after it and
//     returns zero values, so look at the error before acting on what was read.
//   - The routes of one path must stand together in the table, and a literal path
//     before the one with a parameter in the same place: the first match counts.
package rest
