package admin

// table lists every route. Literal paths stand before those with parameters.
func (h *Handler) table() []route {
	return []route{
		{"POST", "/admin/v1/keys", accessAdmin, (*Handler).createKey},
		{"GET", "/admin/v1/keys", accessAdmin, (*Handler).listKeys},
		{"GET", "/admin/v1/keys/{id}", accessAdmin, (*Handler).getKey},
		{"DELETE", "/admin/v1/keys/{id}", accessAdmin, (*Handler).revokeKey},

		{"POST", "/admin/v1/accounts", accessOperator, (*Handler).createAccount},
		{"GET", "/admin/v1/accounts", accessAdmin, (*Handler).listAccounts},
		{"GET", "/admin/v1/accounts/{id}", accessAdmin, (*Handler).getAccount},
		{"POST", "/admin/v1/accounts/{id}/topups", accessOperator, (*Handler).topUp},
	}
}
