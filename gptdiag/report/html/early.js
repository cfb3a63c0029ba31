// Runs before Bokeh. Bokeh makes its style elements by script, and the page's policy lets in only
// those that carry the nonce of this page; so they get it here. No other style can be added.
(() => {
  "use strict";
  const nonce = document.currentScript.dataset.nonce;
  const create = Document.prototype.createElement;
  Document.prototype.createElement = function (tag, ...rest) {
    const element = create.call(this, tag, ...rest);
    if (String(tag).toLowerCase() === "style") element.nonce = nonce;
    return element;
  };
  document.documentElement.classList.add("scripted");
})();
