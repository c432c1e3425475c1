// Package prefix remembers which server has computed which beginnings of prompts, so that a
// call can go where most of its prompt is cached already.
//
// [Chain] cuts a prompt at the ends of its messages and hashes each beginning. [Index] maps
// these hashes to the servers that have seen them, in a fixed amount of memory. [Rank] agrees
// without any memory on a server for a hash, for gateways that do not know of each other.
//
// All of that is a guess about caches that only the servers know. A wrong guess costs time and
// nothing else: hashes are XXH64 with a configured seed, not a secret.
package prefix
