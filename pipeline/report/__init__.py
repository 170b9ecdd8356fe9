"""One page that shows what the other stages found: data to view model to HTML."""
