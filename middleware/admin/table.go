package admin

// table lists every route that is there with these settings. Literal paths stand before those with parameters.
func (h *Handler) table() []route {
	routes := []route{
		{"POST", "/admin/v1/keys", accessAdmin, (*Handler).createKey},
		{"GET", "/admin/v1/keys", accessAdmin, (*Handler).listKeys},
		{"POST", "/admin/v1/keys/lookup", accessAdmin, (*Handler).lookupKey},
		{"GET", "/admin/v1/keys/{id}", accessAdmin, (*Handler).getKey},
		{"PATCH", "/admin/v1/keys/{id}", accessAdmin, (*Handler).patchKey},
		{"DELETE", "/admin/v1/keys/{id}", accessAdmin, (*Handler).revokeKey},
		{"POST", "/admin/v1/keys/{id}/rotate", accessAdmin, (*Handler).rotateKey},
		{"GET", "/admin/v1/keys/{id}/usage", accessAdmin, (*Handler).keyUsage},

		{"POST", "/admin/v1/accounts", accessOperator, (*Handler).createAccount},
		{"GET", "/admin/v1/accounts", accessAdmin, (*Handler).listAccounts},
		{"GET", "/admin/v1/accounts/{id}", accessAdmin, (*Handler).getAccount},
		{"POST", "/admin/v1/accounts/{id}/topups", accessOperator, (*Handler).topUp},

		{"GET", "/admin/v1/usage", accessAdmin, (*Handler).usage},
		{"GET", "/admin/v1/entries", accessAdmin, (*Handler).entries},
		{"GET", "/admin/v1/models", accessKey, (*Handler).listModels},
		{"GET", "/admin/v1/explain", accessKey, (*Handler).explain},
		{"GET", "/admin/v1/me", accessKey, (*Handler).me},
		{"GET", "/admin/v1/me/usage", accessKey, (*Handler).myUsage},

		{"GET", "/admin/openapi.json", accessAnyone, (*Handler).openapi},

		{"GET", "/sdk/api-keys", accessAdmin, (*Handler).sdkList},
		{"POST", "/sdk/api-keys", accessAdmin, (*Handler).sdkCreate},
		{"GET", "/sdk/api-keys/usage-limits", accessKey, (*Handler).sdkOwnUsage},
		{"GET", "/sdk/api-keys/{id}", accessAdmin, (*Handler).sdkGet},
		{"PUT", "/sdk/api-keys/{id}", accessAdmin, (*Handler).sdkUpdate},
		{"DELETE", "/sdk/api-keys/{id}", accessAdmin, (*Handler).sdkDelete},
		{"GET", "/sdk/api-keys/{id}/usage-limits", accessAdmin, (*Handler).sdkUsage},
		{"GET", "/sdk/models/{id}", accessKey, (*Handler).sdkModel},
		{"GET", "/v2/models/{id}", accessKey, (*Handler).sdkModel},
	}
	if h.alerts != nil {
		routes = append(routes, route{"GET", "/admin/v1/alerts", accessAdmin, (*Handler).listAlerts})
	}
	return routes
}
