// What a program that uses the installed library includes: <kappa/client.h>. Everything is in the namespace kappa.
#pragma once

#include "tools/client/client.h"
#include "tools/client/append_session.h"
#include "tools/client/callback_client.h"
