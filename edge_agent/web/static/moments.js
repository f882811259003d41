// Writes moments the reader's way. No texts here: they come with the page.
"use strict";

for (const moment of document.querySelectorAll("time[datetime]")) {
  moment.textContent = new Date(moment.dateTime).toLocaleString(document.documentElement.lang);
}
window.lineside = { ready: true }; // for whoever waits until the page's script has run
