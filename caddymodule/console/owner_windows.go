package console

// giveToOwner does nothing: files have the access rights of their directory.
func giveToOwner(string) error { return nil }
