// Package alerts warns people before a key or an account runs out: of its requests or
// tokens per day, of a key's budget, of an account's balance. Each crossing of a
// threshold is reported once to every sink, also across restarts; so is a budget or
// balance that refuses calls, which it does before all of it is used.
//
// A [Monitor] asks a [Source] for the [Level] of each limit after calls have moved it,
// compares it with the thresholds, and hands an [Alert] to each [Sink]. A [Webhook] is
// the sink that posts signed JSON to a URL:
//
//	webhook, err := alerts.NewWebhook("https://hooks.example/penstock", secret)
//	...
//	monitor, err := alerts.New(source,
//		alerts.WithThresholds(80, 100),
//		alerts.WithSink(webhook),
//		alerts.WithStateFile("alerts.json"))
//	...
//	monitor.Observe(keyID, model) // after each call; never blocks
//	monitor.ObserveRefusal(keyID, model, alerts.Budget, needed) // after a 402
//
// The package knows neither keys nor money. middleware/admin has the source that
// reads them from a ledger and a limiter.
//
// # Caveats
//
//   - Levels are looked at once per interval, so an alert may come a second late, and
//     two thresholds crossed within one interval are one alert, for the higher one.
//   - A balance is measured from the last top-up on, or from when the account was first
//     looked at: a share of everything that was ever paid in would stay near its end
//     forever on an old account.
//   - A webhook makes a bounded number of attempts and has a bounded queue. What it gives
//     up is in the log and in [Monitor.Recent].
package alerts
