-- Send every study to Radloop once nothing came for StableAge seconds, but never what Radloop made:
-- its objects would come back for ever. (Radloop itself recognises and does not read them.)
function OnStableSeries(seriesId, tags, metadata)
  if tags["Manufacturer"] ~= "Radloop" then
    SendToModality(seriesId, "radloop")
  end
end
